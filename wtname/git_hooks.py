"""Put the git hook in place, and take it away: other people's hooks are kept and run first, or left alone."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from wtname import folders, shim
from wtname.errors import WtnameError
from wtname.git import Repository, hooks, version
from wtname.git.booleans import NO
from wtname.shim import BEFORE

# A hook that goes by the name it is called by cannot be kept under another one; husky's has another file do so.
_BY_ITS_NAME = re.compile(rb"\bbasename\b|\$\{0##|argv\[0\]|\$PROGRAM_NAME|__FILE__|^\s*(?:\.|source)\s.*\$\{?0", re.M)
_TRIES = 40  # with others who install at the same time
_IF_THERE = '; [ ! -x "$hook" ] || "$hook"'
_ELSEWHERE = f'call wtname from your own (wtname hook {hooks.EVENT} "$@" || :), or pass --force'


class Status(NamedTuple):
    """Where our hook is and how git comes to it (`config` or `file`; nothing where it is not installed), which Python
    it runs, if that is there, if the hook is as this version makes it, which hook of others is kept beside it, and why
    that one may not run before it (nothing where it will)."""

    how: str
    everywhere: bool = False
    path: Path | None = None
    python: str = ""
    works: bool = False
    current: bool = False
    before: Path | None = None
    hindered: str = ""


def status(repo: Repository | None) -> Status:
    """How things stand for a repository, or without one for the user."""
    for scope in [repo, None] if repo else [None]:
        if path := _configured(scope):
            return _facts(path, "config", everywhere=scope is None)
    for path in _places(repo):
        if _is_ours(path):
            return _facts(path, "file", everywhere=repo is None or hooks.place(repo).shared)
    return Status("")


def switched_off(repo: Repository | None) -> str:
    """The setting that turns the hook off, if one does."""
    if repo and repo.config.get("wtname.hook", "").lower() in NO:
        return "wtname.hook"
    for scope in [repo, None] if repo else [None]:
        if enabled := hooks.configured(scope).get("enabled"):
            return f"hook.{hooks.NAME}.enabled" if enabled.lower() in NO else ""
    return ""


def install(repo: Repository | None, *, force: bool) -> Status:
    """Install the hook for a repository, or without one for all of the user's. Raises WtnameError where that would
    touch what is not ours to touch."""
    text = shim.script(program())
    if version() >= hooks.CONFIGURED_SINCE:
        path = _home(repo)
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, text)
        hooks.configure(repo, _command(path))
        for old in _places(repo):  # from before git could do it: it would run twice
            if _is_ours(old):
                _take_away(old, force=force)
        return status(repo)
    if repo:
        where = hooks.place(repo)
        if where.shared:
            raise WtnameError(f"core.hooksPath is {where.folder} for many repositories; install it there with --global")
        if where.tracked and not force:
            raise WtnameError(
                f"{where.folder} is in the working tree, so that it is committed, or another tool's; {_ELSEWHERE}"
            )
        folder = where.folder
    else:
        folder = _shared_folder()
    if os.path.lexists(folder) and not folder.is_dir():
        raise WtnameError(f"core.hooksPath is {folder}, which is no folder, so that no hook runs; unset it first")
    folder.mkdir(parents=True, exist_ok=True)
    _put(folder / hooks.EVENT, text, force=force)
    return status(repo)


def uninstall(repo: Repository | None, *, force: bool) -> list[Path]:
    """Take the hook away, and put back the one that was there before; what went is returned."""
    gone = [path for path in _places(repo) if _is_ours(path)]
    for path in gone:
        _take_away(path, force=force)
    if _configured(repo):
        path = _home(repo)
        hooks.forget(repo)
        path.unlink(missing_ok=True)
        for folder in (path.parent, *([path.parent.parent] if repo is None else [])):
            with suppress(OSError):
                folder.rmdir()
        gone.append(path)
    if repo and gone:
        for told in [repo.common_dir / shim.TOLD, *repo.common_dir.glob(f"worktrees/*/{shim.TOLD}")]:
            told.unlink(missing_ok=True)
    return gone


def program() -> str:
    """The Python that runs us. A hook that looked wtname up on PATH would run whatever a folder on it holds at the time
    of the commit, and in a desktop program's short PATH it would find nothing."""
    if not sys.executable:
        raise WtnameError("Python does not say where it is; run wtname by its whole path")
    return Path(sys.executable).as_posix()


def _home(repo: Repository | None) -> Path:
    """Where the script lies that git's configuration names."""
    if repo:
        return repo.common_dir / "wtname" / hooks.EVENT
    from platformdirs import user_data_path

    return user_data_path("wtname", appauthor=False) / "hooks" / hooks.EVENT


def _command(path: Path) -> str:
    # A command that is not there would stop every commit.
    return f"hook={shlex.quote(path.as_posix())}{_IF_THERE}"


def _configured(repo: Repository | None) -> Path | None:
    """Our script that the configuration has git run; in a repository that was copied or moved, where it was before."""
    command = hooks.configured(repo).get("command", "")
    with suppress(ValueError):
        path = Path(*shlex.split(command.removeprefix("hook=").removesuffix(_IF_THERE)))
        if command == _command(path) and path.parts[-2:] == _home(repo).parts[-2:]:
            return path
    return None


def _places(repo: Repository | None) -> list[Path]:
    """Where a hook file of ours may be; pre-commit puts what it finds under another name, and runs it first."""
    folder = hooks.place(repo).folder if repo else hooks.shared_folder()
    return [folder / name for name in (hooks.EVENT, f"{hooks.EVENT}.legacy")] if folder else []


def _shared_folder() -> Path:
    folder = hooks.shared_folder()
    if folder and folder.is_absolute():
        return folder
    if folder:
        raise WtnameError(f"core.hooksPath is {folder}, another folder in each repository; set it to an absolute path")
    raise WtnameError(
        "git has hooks for all repositories from 2.54 on, and a core.hooksPath would turn off those that repositories "
        "have; run wtname hook install in each, or update git"
    )


def _facts(path: Path, how: str, everywhere: bool) -> Status:
    text = _read(path)
    found = re.search(r"^python=(.+)$", text, re.M)
    try:
        python = shlex.split(found[1])[0] if found else ""
    except ValueError:
        python = ""
    before = path.with_name(BEFORE)
    kept = how == "file" and os.path.lexists(before)
    current = text == shim.script(python)
    if python:
        runs = os.path.isabs(python) and os.access(python, os.X_OK)
    else:  # the one that looks for wtname on PATH
        runs = current and shutil.which("wtname") is not None
    return Status(
        how,
        everywhere,
        path,
        python,
        works=runs and os.access(path, os.X_OK),
        current=current,
        before=before if kept else None,
        hindered=_hindrance(before) if kept else "",
    )


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8", "surrogateescape")
    except OSError:
        return ""


def _goes_by_its_name(hook: Path) -> bool:
    return not hook.is_symlink() and bool(_BY_ITS_NAME.search(hook.read_bytes()[:65536]))


def _hindrance(before: Path) -> str:
    if not os.access(before, os.X_OK):
        return "it is not executable"
    with suppress(OSError):
        if _goes_by_its_name(before):
            return "it goes by the name that it is called by"
    return ""


def _is_ours(path: Path) -> bool:
    return not path.is_symlink() and shim.MARK in _read(path)[:200]


def _refuse_changed(path: Path, force: bool) -> None:
    if not force and not shim.is_untouched(_read(path)):
        raise WtnameError(f"{path} is wtname's, and somebody has changed it; look at it, then pass --force")


def _put(hook: Path, text: str, force: bool) -> None:
    before = hook.with_name(BEFORE)
    for _ in range(_TRIES):
        if _is_ours(hook):
            _refuse_changed(hook, force)
            _write(hook, text)
            return
        if not os.path.lexists(hook):
            if _write(hook, text, new=True):
                return
            continue
        if not force and _goes_by_its_name(hook):
            raise WtnameError(f"{hook} goes by the name that it is called by, and cannot be kept beside; {_ELSEWHERE}")
        there = os.path.lexists(before)
        if _keep(hook, before):
            try:
                _write(hook, text)
            except BaseException:
                if not there:  # or it would be in the way of the next try
                    before.unlink(missing_ok=True)
                raise
            return
    raise WtnameError(f"{before} is there, and {hook} is not wtname's; move one of them away")


def _keep(hook: Path, before: Path) -> bool:
    """Give a hook a second name, unless something else has it. It is never missing meanwhile."""
    try:
        if hook.is_symlink():
            before.symlink_to(os.readlink(hook))
        else:
            os.link(hook, before)
    except FileExistsError:
        with suppress(OSError):  # an install that was killed, or one that is at it now, kept it
            return os.path.samefile(hook, before)
        return False
    except OSError:  # a file system without links
        if os.path.lexists(before):
            return False
        shutil.copy2(hook, before, follow_symlinks=False)
    return True


def _write(path: Path, text: str, new: bool = False) -> bool:
    """Write a hook whole, in one step; `new`: only where there is nothing yet. Tells whether it is written."""
    import tempfile

    try:
        number, name = tempfile.mkstemp(prefix=".wtname-", dir=path.parent)
    except OSError as error:
        raise WtnameError(f"cannot write {path}: {error.strerror}; make {path.parent} yours to write to") from error
    beside = Path(name)
    try:
        try:
            with open(number, "wb") as file:
                file.write(text.encode("utf-8", "surrogateescape"))
        except OSError as error:
            raise WtnameError(f"cannot write {path}: {error.strerror}; mend that, and try again") from error
        beside.chmod(0o777 & ~folders.umask())
        if new:
            try:
                os.link(beside, path)
            except FileExistsError:
                return False
            except OSError:  # no links here
                os.replace(beside, path)
        else:
            os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
    return True


def _take_away(hook: Path, force: bool) -> None:
    _refuse_changed(hook, force)
    before = hook.with_name(BEFORE)
    if os.path.lexists(before):
        os.replace(before, hook)
    else:
        hook.unlink()
