from __future__ import annotations

import os
from pathlib import Path

import pytest

from wtname import settings
from wtname.errors import WtnameError
from wtname.settings import Settings


def test_defaults() -> None:
    assert settings.load({}, {}) == Settings("wt-{name}", "../{repo}.worktrees/{branch}", "", "")


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
    ("config", "environ", "types"),
    [
        ({"wtname.type.feat": "feature"}, {}, {"feat": "feature"}),
        ({"wtname.type.feat": "feature", "wtname.type.fix": "bug/fix"}, {}, {"feat": "feature", "fix": "bug/fix"}),
        ({"wtname.type.feat": "feature"}, {"WTNAME_TYPE_FEAT": "Feature"}, {"feat": "Feature"}),
        ({}, {"WTNAME_TYPE_DOCS": "función", "WTNAME_TYPE_FEAT": ""}, {"docs": "función"}),
        ({}, {}, {}),
    ],
)
def test_types(config: dict[str, str], environ: dict[str, str], types: dict[str, str]) -> None:
    assert settings.load(config, environ).types == types


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"wtname.type.feat": ""}, r"wtname\.type\.feat is empty; set it to a word"),
        ({"wtname.type.feature": "feat"}, r"wtname\.type\.feature is for no type; the types are feat, fix"),
        ({"wtname.type.fix": "bug fix"}, r"wtname\.type\.fix is 'bug fix', which no branch can have"),
        ({"wtname.type.fix": "fix/"}, r"wtname\.type\.fix is 'fix/'"),
        ({"wtname.type.fix": "../fix"}, r"wtname\.type\.fix is '\.\./fix'"),
        ({"wtname.maxlength": "long"}, r"wtname\.maxlength is 'long'; set it to a number"),
        ({"wtname.maxlength": "-1"}, r"wtname\.maxlength"),
        ({"wtname.maxlength": "٣"}, r"wtname\.maxlength"),
    ],
)
def test_what_cannot_be_meant(config: dict[str, str], says: str) -> None:
    with pytest.raises(WtnameError, match=says) as caught:
        settings.load(config, {})
    assert "\n" not in str(caught.value)


def test_length_and_ticket() -> None:
    config = {"wtname.maxlength": "40", "wtname.ticket": r"OPS-\d+"}
    assert settings.load(config, {})[5:7] == (40, r"OPS-\d+")
    assert settings.load(config, {"WTNAME_MAXLENGTH": "0", "WTNAME_TICKET": "x"})[5:7] == (0, "x")
    assert settings.load({}, {}).maxlength == 63


@pytest.mark.parametrize(
    ("template", "branch", "expected"),
    [
        ("../{repo}.worktrees/{branch}", "wt-x", "/src/demo.worktrees/wt-x"),
        ("../{repo}.worktrees/{branch}", "ada/fix/x", "/src/demo.worktrees/ada-fix-x"),
        (".worktrees/{branch}", "wt-x", "/src/demo/.worktrees/wt-x"),
        ("/tmp/{branch}", 'a<b>"c|d', "/tmp/a-b--c-d"),
        ("/tmp/{branch}/{branch}", "x", "/tmp/x/x"),
        ("/tmp/{branch}", "aux", "/tmp/aux-"),
        ("/tmp/{branch}", "Con.x/y", "/tmp/Con-.x-y"),
        ("/tmp/{branch}", "com1", "/tmp/com1-"),
        ("/tmp/{branch}", "con/x", "/tmp/con-x"),
        ("/tmp/{branch}", "auxiliary", "/tmp/auxiliary"),
        ("/tmp/{branch}", "fix-nul", "/tmp/fix-nul"),
    ],
)
def test_folder(template: str, branch: str, expected: str) -> None:
    assert settings.folder(template, repo="demo", main=Path("/src/demo"), branch=branch) == Path(expected)


@pytest.mark.parametrize("template", ["../wt", "", "../{nope}/{branch}", "{branch}{}"])
def test_folder_that_cannot_be(template: str) -> None:
    with pytest.raises(WtnameError, match=r"wtname\.path"):
        settings.folder(template, repo="demo", main=Path("/src/demo"), branch="x")


@pytest.mark.parametrize(
    "template", ["D:{branch}", r"D:\wt\{branch}", r"\wt\{branch}", r"..\{repo}.worktrees\{branch}"]
)
@pytest.mark.skipif(os.name != "nt", reason="drives of Windows")
def test_folder_on_windows(template: str) -> None:
    assert settings.folder(template, repo="demo", main=Path(r"C:\src\demo"), branch="x").is_absolute()
