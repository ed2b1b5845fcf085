"""What can be set: flags come first, then WTNAME_* variables, then git config."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from wtname.errors import WtnameError
from wtname.git.booleans import NO, YES
from wtname.naming import TYPES
from wtname.template import MAX_LENGTH, is_legal


class Settings(NamedTuple):
    """How branches and folders are called and where they start."""

    template: str = "wt-{name}"
    path: str = "../{repo}.worktrees/{branch}"
    base: str = ""  # the default branch of the remote, or else HEAD
    user: str = ""
    types: Mapping[str, str] = {}
    maxlength: int = MAX_LENGTH
    ticket: str = ""


def load(config: Mapping[str, str], environ: Mapping[str, str], base: str | None = None) -> Settings:
    """The settings from a flag, the environment and git config; an empty value is none.

    Raises WtnameError where a value cannot be meant: no number, no word for a type."""

    def setting(key: str, default: str) -> str:
        return environ.get("WTNAME_" + key.upper().replace(".", "_")) or config.get("wtname." + key) or default

    user = setting("user", config.get("user.email", "").partition("@")[0])
    return Settings(
        template=setting("template", Settings().template),
        path=setting("path", Settings().path),
        base=base or setting("base", Settings().base),
        user=re.sub(r"[^A-Za-z0-9_]+", "-", user).strip("-").lower(),
        types=_types(config, setting),
        maxlength=_length(setting("maxlength", str(MAX_LENGTH))),
        ticket=setting("ticket", ""),
    )


def _types(config: Mapping[str, str], setting: Callable[[str, str], str]) -> dict[str, str]:
    """The team's words for our types, from wtname.type.feat and its like."""
    for key, word in config.items():
        if not key.startswith("wtname.type."):
            continue
        if (kind := key.removeprefix("wtname.type.")) not in TYPES:
            raise WtnameError(f"{key} is for no type; the types are {', '.join(TYPES)}")
        if not word:
            raise WtnameError(f"{key} is empty; set it to a word, as in git config {key} feature, or unset it")
    words = {kind: word for kind in TYPES if (word := setting(f"type.{kind}", ""))}
    for kind, word in words.items():
        if not is_legal(word):
            raise WtnameError(f"wtname.type.{kind} is {word!r}, which no branch can have in its name; change it")
    return words


def _length(text: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", text):
        raise WtnameError(f"wtname.maxlength is {text!r}; set it to a number of characters, or to 0 for no limit")
    return int(text)


# Names that are devices on Windows, whatever follows their first dot.
DEVICE = re.compile(r"\A(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(?=\.|\Z)", re.I)


def flat(branch: str) -> str:
    """A branch as the name of a file or a folder, on any system."""
    return DEVICE.sub(r"\1-", re.sub(r'[/\\<>:"|?*]', "-", branch))


def folder(path: str, *, repo: str, main: Path, branch: str) -> Path:
    """Where a branch's worktree goes, by the path template and next to the main worktree."""
    fields = {"repo": repo, "branch": flat(branch)}

    def fill(field: re.Match[str]) -> str:
        if field[1] not in fields:
            raise WtnameError(f"wtname.path knows no {field[0]}; use {{repo}} and {{branch}}")
        return fields[field[1]]

    if "{branch}" not in path:
        raise WtnameError(f"wtname.path is {path!r}, without {{branch}}; set it as in ../{{repo}}.worktrees/{{branch}}")
    # Not resolved: `..` goes up from the main worktree by name, and what is there need not exist yet.
    try:
        return Path(os.path.abspath(main / Path(re.sub(r"\{(\w*)\}", fill, path)).expanduser()))
    except RuntimeError as error:
        raise WtnameError(f"wtname.path is {path!r}, and nobody's home is called so; change it") from error


class Steps(NamedTuple):
    """What is done before and after a worktree is made."""

    fetch: bool
    fetch_seconds: float
    submodules: bool
    copy: bool
    run: bool


def steps(config: Mapping[str, str], environ: Mapping[str, str], **flags: bool | None) -> Steps:
    """The steps from flags (None: not given), the environment and git config.

    Raises WtnameError where a value is neither yes nor no, or no number of seconds.
    """

    def wanted(key: str, default: str) -> bool:
        flag = flags.get(key)
        value = environ.get("WTNAME_" + key.upper()) or config.get("wtname." + key) or default
        if flag is None and value.lower() not in YES | NO:
            raise WtnameError(f"wtname.{key} is {value!r}; set it to true or false")
        return value.lower() in YES if flag is None else flag

    value = environ.get("WTNAME_FETCHTIMEOUT") or config.get("wtname.fetchtimeout") or "5"
    if not re.fullmatch(r"\d{1,6}(\.\d+)?", value):
        raise WtnameError(f"wtname.fetchtimeout is {value!r}; set it to a number of seconds")
    git_says = config.get("submodule.recurse", "")
    return Steps(
        fetch=wanted("fetch", "no"),
        fetch_seconds=float(value),
        submodules=wanted("recursesubmodules", git_says if git_says.lower() in YES else "no"),
        copy=wanted("copy", "yes"),
        run=wanted("run", "yes"),
    )
