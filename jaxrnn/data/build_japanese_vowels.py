"""Makes `japanese_vowels.npz`, recordings of nine speakers, from the package sktime.

    pip download --no-deps sktime==1.2.0
    python -m jaxrnn.data.build_japanese_vowels sktime-1.2.0-py3-none-any.whl

sktime is under the BSD 3-clause licence (`japanese_vowels.LICENSE`). The data are those of the UCI archive, in its own
split: 30 recordings of each speaker to train on, 24 to 88 to test on.
"""

import argparse
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

MILLIONTHS = 1_000_000  # the source has six digits after the point


def read(text: str) -> tuple[list[np.ndarray], np.ndarray]:
    """The recordings `(length, 12)` of a .ts file, as millionths, and the speaker of each, counted from 0."""
    lines = text.split("@data", 1)[1].split()
    recordings, speakers = [], []
    for line in lines:
        *dimensions, speaker = line.split(":")
        values = np.array([[float(x) for x in dimension.split(",")] for dimension in dimensions]).T
        recordings.append(np.round(values * MILLIONTHS).astype(np.int32))
        speakers.append(int(speaker) - 1)
    return recordings, np.array(speakers, np.uint8)


def build(wheel: Path) -> tuple[dict[str, Any], str]:
    """The arrays of the file, and the licence."""
    found: dict[str, Any] = {}
    with zipfile.ZipFile(wheel) as archive:
        for part in ("train", "test"):
            name = f"sktime/datasets/data/JapaneseVowels/JapaneseVowels_{part.upper()}.ts"
            recordings, speakers = read(archive.read(name).decode())
            found[f"{part}_values"] = np.concatenate(recordings)
            found[f"{part}_lengths"] = np.array([len(r) for r in recordings], np.uint8)
            found[f"{part}_speakers"] = speakers
        licence = next(name for name in archive.namelist() if name.endswith("licenses/LICENSE"))
        return found, archive.read(licence).decode()


def main() -> None:
    """Writes the files beside this script."""
    parser = argparse.ArgumentParser(description="Make jaxrnn/data/japanese_vowels.npz from the wheel of sktime 1.2.0.")
    parser.add_argument("wheel", type=Path, help="sktime-1.2.0-py3-none-any.whl")
    arrays, licence = build(parser.parse_args().wheel)
    path = Path(__file__).with_name("japanese_vowels.npz")
    np.savez_compressed(path, **arrays)
    path.with_suffix(".LICENSE").write_text(licence, encoding="utf-8")
    counts = ", ".join(f"{len(arrays[f'{part}_lengths'])} to {part}" for part in ("train", "test"))
    print(f"{counts}, {path.stat().st_size} bytes packed")


if __name__ == "__main__":
    main()
