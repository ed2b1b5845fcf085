"""Where a client lets us work: the folders that its roots name, or those that the server was started with."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from wtname import settings
from wtname.errors import WtnameError
from wtname.git import Repository
from wtname.git.origins import values


def path_of(uri: str, windows: bool = os.name == "nt") -> str | None:
    """The absolute path that a file:// URI stands for; None where it stands for none here."""
    parts = urlsplit(uri)
    # A # or ? that is no escape would cut the path off, and make a wider root of it.
    if parts.scheme != "file" or parts.query or parts.fragment or "#" in uri or "?" in uri:
        return None
    host = "" if parts.netloc == "localhost" else parts.netloc
    if windows:
        path = unquote(parts.path)
        drive = re.match(r"/[A-Za-z]:(?:/|\Z)", path)
        if not (drive or host) or "\0" in path:
            return None
        return (f"//{host}{path}" if host else path[1:]).replace("/", "\\")
    path = os.fsdecode(unquote_to_bytes(parts.path))
    return path if not host and path.startswith("/") and "\0" not in path else None


class Limit:
    """The folders that may be worked in, links resolved. Everything that is asked for is measured by it."""

    def __init__(self, folders: Iterable[str | Path], whose: str) -> None:
        self._folders = [Path(os.path.realpath(folder)) for folder in folders]
        self._whose = whose

    def allows(self, path: Path) -> bool:
        """Whether a path, wherever its links lead, is in one of the folders; it need not be there."""
        real = Path(os.path.realpath(path))
        return any(_same(above, folder) for above in (real, *real.parents) for folder in self._folders)

    def folder(self, asked: str) -> Path:
        """The folder that a client means, links resolved; the first one where it names none. Raises WtnameError."""
        if not self._folders:
            raise WtnameError(f"{self._whose} name no folder; open one in the client")
        if "\0" in asked:
            raise WtnameError("repository is no path; pass a folder of a git repository")
        place = Path(os.path.realpath(self._folders[0] / asked))  # an absolute path stands for itself
        # New worktrees lie beside the repository, so as a rule outside: their records lie inside.
        if not self.allows(place) and not ((found := _record(place)) and self.allows(found)):
            raise WtnameError(self._refusal("that repository"))
        if not place.is_dir():
            raise WtnameError(f"there is no folder {place}; pass one of a git repository")
        return place

    def check(self, repo: Repository, linked: bool = False) -> None:
        """Raise WtnameError unless a repository lies in the folders, its main worktree and its git folder.

        `linked`: a worktree in the folders will do, if the repository, wherever that is, knows it for its own."""
        here = repo.worktree() or repo.git_dir
        inside, home = self.allows(here), self.allows(repo.main) and self.allows(repo.common_dir)
        if (inside and home) or ((home or (inside and linked)) and _is_known(repo, here)):
            return
        what = f"the main worktree of that repository ({repo.main})" if inside else "the repository around that folder"
        raise WtnameError(self._refusal(what))

    def check_place(self, repo: Repository, environ: Mapping[str, str]) -> None:
        """Raise WtnameError where a repository, and not its user, wants new worktrees in a place that is neither in the
        folders nor beside it."""
        chosen, usual = settings.load(repo.config, environ), settings.Settings()

        def above(template: str) -> Path:
            return settings.folder(template, repo=repo.name, main=repo.beside, branch="x").parent

        place = above(chosen.path)
        if place in (above(usual.path), repo.beside.parent) or self.allows(place):
            return
        found = values(repo, "wtname.path")
        if not environ.get("WTNAME_PATH") and found and not found[-1].own:
            what = f"this repository's own wtname.path puts worktrees into {place}"
            raise WtnameError(f"{what}; if you want that, set it with git config --global")

    def _refusal(self, what: str) -> str:
        return f"{what} is outside of what {self._whose} allow; open that folder in the client"


def _record(place: Path) -> Path | None:
    """git's record of the linked worktree that a folder lies in, if worktree and record name each other."""
    for above in (place, *place.parents):
        if (above / ".git").is_file():
            with contextlib.suppress(OSError, ValueError):
                told = os.fsdecode((above / ".git").read_bytes()).removeprefix("gitdir: ").rstrip("\r\n")
                found = Path(os.path.realpath(above / told))
                back = os.fsdecode((found / "gitdir").read_bytes()).rstrip("\r\n")
                return found if _same((found / back).parent, above) else None
    return None


def _is_known(repo: Repository, here: Path) -> bool:
    """Whether the repository has this worktree in its books, which a stranger's .git file cannot bring about."""
    found = _record(here)
    return bool(found and _same(found, repo.git_dir) and _same(found.parent, repo.common_dir / "worktrees"))


def _same(one: Path, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return one == other


def started_in(wanted: Sequence[Path]) -> Limit:
    """The limit for a client that gives no roots: the folders wanted, or else the one we were started in."""
    if wanted:
        return Limit(wanted, "the server's --root options")
    here = Path.cwd()
    if here == Path(here.anchor):  # some clients start their servers there; that would be no limit at all
        return Limit([], "the client gives no roots, and the server's options")
    return Limit([here], "the folders that the server was started in")
