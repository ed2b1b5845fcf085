"""What README shows is what the model in the package says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT, Run
from wtname import naming

README = (ROOT / "README.md").read_text(encoding="utf-8")
SUGGESTED = re.findall(r'^\$ wtname suggest "([^"]+)"\n([a-z0-9-]+)$', README, re.M)
MADE = re.findall(r'\$ wtname new "([^"]+)"\n\s*…/\S+\.worktrees/(\S+)$', README, re.M)


def test_there_are_examples() -> None:
    assert SUGGESTED
    assert MADE


@pytest.mark.parametrize(("prompt", "name"), SUGGESTED)
def test_suggested(run: Run, prompt: str, name: str) -> None:
    assert run("suggest", prompt).stdout.strip() == name


@pytest.mark.parametrize(("prompt", "branch"), MADE)
def test_made(run: Run, repo: Path, prompt: str, branch: str) -> None:
    assert Path(run("new", prompt).stdout.strip()).name == branch


def test_picked_from_the_words() -> None:
    picked = re.search(r"words picked from the prompt, type by rules \| `([a-z0-9-]+)`", README)
    assert picked
    assert naming.extract(naming.clean(SUGGESTED[0][0])) == picked[1]
