"""Notebooks from clean: each `notebooks/*.py` has an executed `.ipynb` of the same cells, and runs without a warning.

python .ci/notebooks.py                     check and execute all of them, change nothing
python .ci/notebooks.py --write PATH.py     execute and write the `.ipynb`
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

SECONDS = 270  # for each, on two cores: the 180 that they may take, and half as much where others use the machine too
KEPT_METADATA = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}


def read(path: Path) -> nbformat.NotebookNode:
    """The cells of a percent script, with names that stay the same from one run to the next."""
    notebook = jupytext.read(path)
    notebook.metadata = nbformat.from_dict(KEPT_METADATA)
    for number, cell in enumerate(notebook.cells):
        cell.id, cell.metadata = f"cell-{number:02}", nbformat.from_dict({})
    return notebook


def texts(notebook: nbformat.NotebookNode, kind: str) -> list[str]:
    """All that the notebook printed to `kind`, stdout or stderr, or raised."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return [o.text for o in outputs if o.output_type == "stream" and o.name == kind]


def complaints(notebook: nbformat.NotebookNode) -> list[str]:
    """Warnings and errors among the outputs. A progress bar, also on stderr, is neither."""
    raised = [o for cell in notebook.cells for o in cell.get("outputs", []) if o.output_type == "error"]
    warned = [text for text in texts(notebook, "stderr") if re.search("warn|error|exception", text, re.IGNORECASE)]
    return [f"{error.ename}: {error.evalue}" for error in raised] + warned


def committed(path: Path, script: nbformat.NotebookNode) -> list[str]:
    """What is wrong with the `.ipynb` beside a script."""
    beside = path.with_suffix(".ipynb")
    if not beside.exists():
        return [f"{beside} is missing"]
    notebook = nbformat.read(beside, as_version=4)
    cells = [[(cell.cell_type, cell.source) for cell in book.cells] for book in (script, notebook)]
    wrong = complaints(notebook)
    if cells[0] != cells[1]:
        wrong.append(f"{beside} and {path} differ in their cells")
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    if counts != list(range(1, len(counts) + 1)):
        wrong.append(f"{beside} was not executed from clean, from its first cell to its last")
    return wrong


def execute(path: Path, notebook: nbformat.NotebookNode) -> list[str]:
    """Run every cell in a new process; what went wrong."""
    start = time.monotonic()
    client = NotebookClient(
        notebook,
        startup_timeout=SECONDS,
        timeout=SECONDS,
        allow_errors=True,
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(path.parent)}},
    )
    client.execute()
    seconds = time.monotonic() - start
    print(f"{path}: {seconds:.0f} s", flush=True)
    return complaints(notebook) + ([f"took {seconds:.0f} s, more than {SECONDS}"] if seconds > SECONDS else [])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", type=Path, help="percent scripts; default: all of notebooks/")
    parser.add_argument("--write", action="store_true", help="write the executed .ipynb beside each script")
    options = parser.parse_args()
    # Matplotlib says so on stderr when it builds its font cache, once a machine.
    subprocess.run([sys.executable, "-c", "import matplotlib.pyplot"], check=True, capture_output=True)
    failed = False
    with tempfile.TemporaryDirectory() as settings:
        os.environ |= {"IPYTHONDIR": settings, "JUPYTER_CONFIG_DIR": settings}
        for path in options.paths or sorted(Path("notebooks").glob("*.py")):
            notebook = read(path)
            wrong = [] if options.write else committed(path, notebook)
            wrong += execute(path, notebook)
            for complaint in wrong:
                print(f"{path}: {complaint}", file=sys.stderr)
            failed = failed or bool(wrong)
            if options.write:
                nbformat.write(notebook, path.with_suffix(".ipynb"))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
