"""What the README shows runs as it is written, and what it points to is there."""

import re
from pathlib import Path

import jax
import numpy as np

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def test_its_python_runs_in_the_order_of_the_page(capsys):
    assert len(BLOCKS) >= 2
    names = {}
    for block in BLOCKS:
        exec(compile(block, "README.md", "exec"), names)
    before, after = float(names["value"]), float(names["loss"](names["params"]))
    assert after < before  # one step of the optimizer lowers the loss
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(names["grads"]))
    printed = capsys.readouterr().out
    for shown in re.findall(r"print\(.*\)  # (.*)", README):
        assert shown in printed


def test_its_links_and_files_exist():
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_its_commands_are_targets_of_the_makefile():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"\bmake ([a-z]+)\b", README))
    assert {"train", "test"} <= named
    assert [target for target in named if not re.search(rf"^{target}:", makefile, re.MULTILINE)] == []
