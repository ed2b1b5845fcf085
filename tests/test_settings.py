from __future__ import annotations

from pathlib import Path

import pytest

from wtname import settings
from wtname.errors import WtnameError
from wtname.settings import Settings


def test_defaults() -> None:
    assert settings.load({}, {}) == Settings("wt-{name}", "../{repo}.worktrees/{branch}", "HEAD", "")


def test_flag_then_environment_then_config() -> None:
    config = {"wtname.template": "c-{name}", "wtname.base": "c", "wtname.path": "c/{branch}"}
    environ = {"WTNAME_TEMPLATE": "e-{name}", "WTNAME_BASE": "e"}
    assert settings.load(config, environ, base="f")[:3] == ("e-{name}", "c/{branch}", "f")
    assert settings.load(config, environ).base == "e"


@pytest.mark.parametrize("environ", [{}, {"WTNAME_TEMPLATE": ""}])
def test_empty_is_not_set(environ: dict[str, str]) -> None:
    assert settings.load({"wtname.template": ""}, environ) == Settings()


@pytest.mark.parametrize(
    ("config", "user"),
    [
        ({"user.email": "Ada.Lovelace@example.org"}, "ada-lovelace"),
        ({"user.email": "12+ada@users.noreply.github.com"}, "12-ada"),
        ({"user.email": "ada@example.org", "wtname.user": "al"}, "al"),
        ({"user.email": "é..~^:@x"}, ""),
        ({}, ""),
    ],
)
def test_user(config: dict[str, str], user: str) -> None:
    assert settings.load(config, {}).user == user


@pytest.mark.parametrize(
    ("template", "branch", "expected"),
    [
        ("../{repo}.worktrees/{branch}", "wt-x", "/src/demo.worktrees/wt-x"),
        ("../{repo}.worktrees/{branch}", "ada/fix/x", "/src/demo.worktrees/ada-fix-x"),
        (".worktrees/{branch}", "wt-x", "/src/demo/.worktrees/wt-x"),
        ("/tmp/{branch}", 'a<b>"c|d', "/tmp/a-b--c-d"),
        ("/tmp/{branch}/{branch}", "x", "/tmp/x/x"),
    ],
)
def test_folder(template: str, branch: str, expected: str) -> None:
    assert settings.folder(template, repo="demo", main=Path("/src/demo"), branch=branch) == Path(expected)


@pytest.mark.parametrize("template", ["../wt", "", "../{nope}/{branch}", "{branch}{}"])
def test_folder_that_cannot_be(template: str) -> None:
    with pytest.raises(WtnameError, match=r"wtname\.path"):
        settings.folder(template, repo="demo", main=Path("/src/demo"), branch="x")
