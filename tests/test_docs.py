"""The first page of the documentation runs as written, and the reference leaves nothing out."""

import inspect
import re
import sys
from pathlib import Path

import jaxrnn

DOCS = Path(__file__).parents[1] / "docs"


def test_the_first_page_runs_as_it_is_written():
    blocks = re.findall(r"^```python\n(.*?)^```$", (DOCS / "index.md").read_text(encoding="utf-8"), re.DOTALL | re.M)
    names = {}
    for block in blocks:
        exec(compile(block, "index.md", "exec"), names)
    assert names["run"].outputs.shape == (100, 32, 256)
    assert names["run"].final.c.shape == (32, 256)


def test_the_reference_has_every_public_name():
    pages = "\n".join(page.read_text(encoding="utf-8") for page in (DOCS / "api").glob("*.md"))
    modules = set(re.findall(r"^::: (\S+)$", pages, re.MULTILINE))
    packages = [sys.modules[module] for module in modules if hasattr(sys.modules.get(module), "__path__")]
    # all that a package exports; but where a function has the name of its module, that is what the tool finds
    wholesale = {n for p in packages for n in p.__all__ if f"{p.__name__}.{n}" not in sys.modules}
    public = [getattr(jaxrnn, name) for name in jaxrnn.__all__ if name not in wholesale]
    homes = {thing.__name__ if inspect.ismodule(thing) else thing.__module__ for thing in public}
    covered = {module[: len(home)] for module in modules for home in homes if f"{module}.".startswith(f"{home}.")}
    assert homes - covered == set()


def test_the_reference_names_only_what_there_is():
    root = DOCS.parent
    for page in (DOCS / "api").glob("*.md"):
        for module in re.findall(r"^::: (\S+)$", page.read_text(encoding="utf-8"), re.MULTILINE):
            path = root / module.replace(".", "/")
            home = path.parent.with_suffix(".py")  # of a function
            function = home.exists() and f"def {path.name}(" in home.read_text(encoding="utf-8")
            assert function or path.with_suffix(".py").exists() or (path / "__init__.py").exists(), module


def test_the_chapter_runs_as_it_is_written(capsys):
    page = (DOCS / "chapter.md").read_text(encoding="utf-8")
    names = {}
    for block in re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.M):
        capsys.readouterr()
        exec(compile(block, "chapter.md", "exec"), names)
        shown = re.findall(r"print\(.*\)  # (.*)", block)
        printed = capsys.readouterr().out.split("\n")[:-1]
        assert set(printed) == set(shown), block
