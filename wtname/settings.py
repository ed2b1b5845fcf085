"""What can be set: flags come first, then WTNAME_* variables, then git config."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from wtname.errors import WtnameError


class Settings(NamedTuple):
    """How branches and folders are called and where they start."""

    template: str = "wt-{name}"
    path: str = "../{repo}.worktrees/{branch}"
    base: str = "HEAD"
    user: str = ""


def load(config: Mapping[str, str], environ: Mapping[str, str], base: str | None = None) -> Settings:
    """The settings from a flag, the environment and git config; an empty value is none."""

    def setting(key: str, default: str) -> str:
        return environ.get("WTNAME_" + key.upper()) or config.get("wtname." + key) or default

    user = setting("user", config.get("user.email", "").partition("@")[0])
    return Settings(
        template=setting("template", Settings().template),
        path=setting("path", Settings().path),
        base=base or setting("base", Settings().base),
        user=re.sub(r"[^A-Za-z0-9_]+", "-", user).strip("-").lower(),
    )


def folder(path: str, *, repo: str, main: Path, branch: str) -> Path:
    """Where a branch's worktree goes, by the path template and next to the main worktree."""
    flat = re.sub(r'[/\\<>:"|?*]', "-", branch)
    fields = {"repo": repo, "branch": flat}

    def fill(field: re.Match[str]) -> str:
        if field[1] not in fields:
            raise WtnameError(f"wtname.path knows no {field[0]}; use {{repo}} and {{branch}}")
        return fields[field[1]]

    if "{branch}" not in path:
        raise WtnameError("wtname.path needs {branch}, as in ../{repo}.worktrees/{branch}")
    # Not resolved: `..` goes up from the main worktree by name, and what is there need not exist yet.
    return Path(os.path.normpath(main / Path(re.sub(r"\{(\w*)\}", fill, path)).expanduser()))
