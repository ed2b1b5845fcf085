"""Set up Claude Code: its hooks in settings.json, changed in place; and what else is there that makes worktrees."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import stat
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from wtname import claude_lines, folders, json_edit
from wtname.errors import WtnameError

Scope = Literal["user", "project", "local"]
SCOPES: tuple[Scope, ...] = ("user", "project", "local")

# Claude Code's events, our commands for them, and the seconds that they have. Checking out a large repository takes
# its time, and so does deleting one.
EVENTS = {
    "WorktreeCreate": ("worktree-create", 300),
    "WorktreeRemove": ("worktree-remove", 120),
    "UserPromptSubmit": ("user-prompt-submit", 10),
}
# Two hooks for one of these each make a worktree, and who comes first is Claude Code's.
_ONE_ALONE = "WorktreeCreate"


class Found(NamedTuple):
    """What one place says about hooks: our events, somebody's lines that call wtname and do more by event, other tools'
    commands by event, the programs of ours that are not there, and whether hooks are switched off."""

    where: str
    ours: list[str]
    shared: dict[str, list[str]]
    others: dict[str, list[str]]
    missing: list[str]
    disabled: bool = False

    @property
    def events(self) -> set[str]:
        """The events that wtname is called for."""
        return {*self.ours, *self.shared}


def home(environ: Mapping[str, str]) -> Path:
    """Claude Code's own folder."""
    return Path(environ.get("CLAUDE_CONFIG_DIR") or Path.home() / ".claude")


def file(scope: Scope, project: Path, environ: Mapping[str, str]) -> Path:
    """The settings of the user, of a project, or of the user in a project."""
    if scope == "user":
        return home(environ) / "settings.json"
    return project / ".claude" / ("settings.json" if scope == "project" else "settings.local.json")


def command(scope: Scope) -> list[str]:
    """How this wtname is called. Settings that a team shares say `wtname`, wherever each has it; the user's own say
    where it is, as programs started from a desktop have another PATH, and a virtual environment may not be on any."""
    if scope == "project":
        return ["wtname"]
    script = Path(os.path.abspath(sys.argv[0]))
    if sys.platform == "win32" and not script.suffix:
        script = script.with_suffix(".exe")
    if script.stem == "wtname" and script.is_file() and os.access(script, os.X_OK):
        return [str(script)]
    return [sys.executable, "-m", "wtname"]


def handler(called: list[str], event: str) -> dict[str, object]:
    """Our hook for an event, as a line for a shell: a Claude Code that knows no `args` would leave them out, and a call
    without any holds prompts back. On Windows nobody knows which shell it is, so what needs quotes goes by `args`."""
    name, seconds = EVENTS[event]
    words = [*called, "hook", name]
    how: dict[str, object] = {"command": shlex.join(words)}
    if sys.platform == "win32" and how["command"] != " ".join(words):
        how = {"command": words[0], "args": words[1:]}
    return {"type": "command", **how, "timeout": seconds}


def install(text: str, called: list[str]) -> str:
    """The settings with our hooks, each once; of one that is there already only the program changes, and one that is
    part of somebody's line counts. Raises WtnameError where they are not as Claude Code has them."""
    text = text if text.strip() else "{}\n"
    _check(text)
    for event in EVENTS:
        values = [value for _, value in _handlers(text, event)]
        if ours := [value for value in values if _is_ours(value, event)]:
            for _ in ours[1:]:
                text = _without(text, event)
            text = _updated(text, event, called)
            continue
        if any(_is_shared(value, event) for value in values):
            continue
        group = {"hooks": [handler(called, event)]}
        at = json_edit.root(text)
        if (hooks := json_edit.member(text, at, "hooks")) is None:
            text = json_edit.append(text, at, {event: [group]}, "hooks")
        elif (groups := json_edit.member(text, hooks.value, event)) is None:
            text = json_edit.append(text, hooks.value, [group], event)
        else:
            text = json_edit.append(text, groups.value, group)
    return text


def _updated(text: str, event: str, called: list[str]) -> str:
    """The settings with a program in our hook for an event, which is there once; what else it says stays."""
    known = _handlers(text, event)
    i, value = next((i, value) for i, (_, value) in enumerate(known) if _is_ours(value, event))
    for key, new in _changes(value, event, called).items():
        part, _ = _handlers(text, event)[i]
        if member := json_edit.member(text, part.value, key):
            text = text if value[key] == new else json_edit.replace(text, member, new)
        else:
            text = json_edit.append(text, part.value, new, key)
    return text


def _changes(value: dict[str, Any], event: str, called: list[str]) -> dict[str, object]:
    """The members that have a hook of ours run a program."""
    wanted = handler(called, event)
    name, _ = EVENTS[event]
    if isinstance(value.get("args"), list):
        return {"command": called[0], "args": [*called[1:], "hook", name]}
    line = claude_lines.ours(value["command"], name)
    assert line
    if "args" in wanted and not line.before and line.after == f" hook {name}":
        return {key: wanted[key] for key in ("command", "args")}
    if line.words == called:
        return {}
    return {"command": line.before + shlex.join(called) + line.after}


def uninstall(text: str) -> str:
    """The settings without our hooks. What is part of somebody's line stays."""
    if not text.strip():
        return text
    _check(text)
    for event in EVENTS:
        while any(_is_ours(value, event) for _, value in _handlers(text, event)):
            text = _without(text, event)
    return text


def _without(text: str, event: str) -> str:
    """The settings without the last hook of ours for an event, and without what is empty then."""
    at = json_edit.root(text)
    hooks = json_edit.member(text, at, "hooks")
    assert hooks
    groups = json_edit.member(text, hooks.value, event)
    assert groups
    for group in reversed(json_edit.parts(text, groups.value)):
        inner = json_edit.member(text, group.value, "hooks")
        assert inner
        for part in reversed(json_edit.parts(text, inner.value)):
            if not _is_ours(json.loads(text[part.value : part.end]), event):
                continue
            if len(json_edit.parts(text, inner.value)) > 1:
                return json_edit.remove(text, inner.value, part)
            if len(json_edit.parts(text, groups.value)) > 1:
                return json_edit.remove(text, groups.value, group)
            if len(json_edit.parts(text, hooks.value)) > 1:
                return json_edit.remove(text, hooks.value, groups)
            return json_edit.remove(text, at, hooks)
    return text


def _handlers(text: str, event: str) -> list[tuple[json_edit.Part, Any]]:
    """The hooks for an event with their places."""
    hooks = json_edit.member(text, json_edit.root(text), "hooks")
    groups = json_edit.member(text, hooks.value, event) if hooks else None
    found = []
    for group in json_edit.parts(text, groups.value) if groups else []:
        inner = json_edit.member(text, group.value, "hooks")
        assert inner
        found += [(part, json.loads(text[part.value : part.end])) for part in json_edit.parts(text, inner.value)]
    return found


def _check(text: str) -> None:
    """Raise WtnameError where hooks have not the shape that Claude Code reads."""
    try:
        told = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WtnameError(f"is no JSON ({error}); mend it first, comments are not allowed in it") from error
    if not isinstance(told, dict):
        raise WtnameError("is no JSON object; mend it first")
    hooks = told.get("hooks", {})
    good = isinstance(hooks, dict) and all(
        isinstance(groups, list)
        and all(isinstance(group, dict) and isinstance(group.get("hooks"), list) for group in groups)
        for event, groups in hooks.items()
        if event in EVENTS
    )
    if not good:
        raise WtnameError('has "hooks" of another shape than Claude Code reads; mend them first')


def _is_ours(value: object, event: str) -> bool:
    """Whether a hook calls wtname for an event and does nothing else."""
    if not isinstance(value, dict) or not isinstance(command := value.get("command"), str):
        return False
    name, _ = EVENTS[event]
    args = value.get("args")
    if isinstance(args, list):
        return args[-2:] == ["hook", name] and claude_lines.is_wtname([command, *args[:-2]])
    return claude_lines.ours(command, name) is not None


def _is_shared(value: object, event: str) -> bool:
    """Whether a hook calls wtname for an event and does more."""
    return not _is_ours(value, event) and claude_lines.calls(_said(value), EVENTS[event][0])


def _said(value: object) -> str:
    """A hook's command line, as far as it has one."""
    if not isinstance(value, dict):
        return str(value)
    args = value.get("args")
    words = [value.get("command"), *(args if isinstance(args, list) else [])]
    return " ".join(word for word in words if isinstance(word, str)) or str(value.get("url") or value.get("type"))


def _program(value: dict[str, Any], event: str) -> str | None:
    """What a hook of ours runs; None where only a shell can tell, as of "$HOME"/bin/wtname."""
    if isinstance(value.get("args"), list):
        return str(value["command"])
    line = claude_lines.ours(value["command"], EVENTS[event][0])
    assert line
    told = shlex.join(line.words) == line.program and "PATH=" not in line.before
    return line.words[0] if told else None


def look(where: str, text: str) -> Found:
    """What settings, or a plugin's hooks.json, say about the events that concern us; raises as `install`."""
    if not text.strip():
        return Found(where, [], {}, {}, [])
    _check(text)
    import shutil

    ours: list[str] = []
    shared: dict[str, list[str]] = {}
    others: dict[str, list[str]] = {}
    programs: list[str] = []
    for event in EVENTS:
        values = [value for _, value in _handlers(text, event)]
        mine = [value for value in values if _is_ours(value, event)]
        ours += [event for _ in mine]
        programs += [program for value in mine if (program := _program(value, event))]
        for value in values:
            if not _is_ours(value, event):
                found = shared if _is_shared(value, event) else others
                found.setdefault(event, []).append(_said(value))
    missing = [program for program in dict.fromkeys(programs) if not shutil.which(program)]
    return Found(where, ours, shared, others, missing, json.loads(text).get("disableAllHooks") is True)


def survey(project: Path, environ: Mapping[str, str]) -> Iterator[Found]:
    """What each of the settings says, as far as they can be read, and each plugin that is switched on."""
    enabled: dict[str, bool] = {}
    seen: set[str] = set()
    for scope in SCOPES:
        place = file(scope, project, environ)
        if (real := os.path.realpath(place)) in seen:  # a home that is a repository
            continue
        seen.add(real)
        with contextlib.suppress(WtnameError, OSError, ValueError):
            text = read(place)
            yield look(scope, text)
            told = json.loads(text or "{}").get("enabledPlugins")
            enabled |= told if isinstance(told, dict) else {}
    for name, folder in _plugins(home(environ)):
        if enabled.get(name) is True:
            with contextlib.suppress(WtnameError, OSError, ValueError):
                yield look(f"plugin {name}", read(folder / "hooks" / "hooks.json"))


def _plugins(claude: Path) -> Iterator[tuple[str, Path]]:
    """The plugins that are installed, with their folders."""
    try:
        told = json.loads((claude / "plugins" / "installed_plugins.json").read_bytes())
        for name, copies in told["plugins"].items():
            yield from ((name, Path(copy["installPath"])) for copy in copies)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return


def conflict(found: list[Found]) -> str | None:
    """Another tool's hook that makes worktrees, where there is one."""
    return next((f"{one.others[_ONE_ALONE][0]} ({one.where})" for one in found if _ONE_ALONE in one.others), None)


def read(place: Path) -> str:
    """Settings as text; nothing where there are none. Raises WtnameError where they cannot be read."""
    try:
        return place.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError as error:
        raise WtnameError("is no UTF-8 text; mend it first") from error
    except OSError as error:
        raise WtnameError(f"cannot be read: {error.strerror}; mend that first") from error


def write(place: Path, before: str, text: str) -> None:
    """Put settings in place in one step, where links to them lead, with their mode. Raises WtnameError where that
    fails, or where somebody else has written them meanwhile."""
    import tempfile

    place = Path(os.path.realpath(place))
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        mode = stat.S_IMODE(place.stat().st_mode) if place.exists() else None
        if mode is not None and not os.access(place, os.W_OK):
            raise WtnameError("is read-only; make it writable")
        handle, new = tempfile.mkstemp(dir=place.parent, prefix=".wtname-", suffix=".json")
        try:
            with open(handle, "wb") as opened:
                opened.write(text.encode("utf-8"))
                opened.flush()
                os.fsync(opened.fileno())
            os.chmod(new, 0o666 & ~folders.umask() if mode is None else mode)
            if read(place) != before:
                raise WtnameError("was changed by another program meanwhile; try again")
            os.replace(new, place)
        except BaseException:
            os.unlink(new)
            raise
    except OSError as error:
        raise WtnameError(f"cannot be written: {error.strerror}; make {place.parent} writable") from error
