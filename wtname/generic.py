"""Which branch names say nothing of their task: made by a machine, or in place of a name. Pure."""

from __future__ import annotations

import re

from wtname.random_words import ADJECTIVES, CLAUDES_DOING, CLAUDES_LIKE, CLAUDES_THINGS, NOUNS

# Words in place of a name, alone or with a number; and those that only a number makes one.
PLACEHOLDERS = frozenset(
    """
    temp tmp wip foo baz asdf qwerty untitled unnamed mybranch my-branch newbranch new-branch some-branch test-branch
    temp-branch tmp-branch work-branch wip-branch feature-branch fix-branch new-feature my-feature new-worktree
    my-worktree Temp TEMP Tmp TMP Wip WIP
    """.split()
)
NUMBERED = frozenset(
    """
    test testing try attempt branch patch agent session workspace worktree bar scratch Test TEST
    """.split()
)
# What stands before the ids of agents and of sessions.
MACHINES = frozenset(
    """
    wt agent session task worktree workspace branch thread run job codespace claude codex cursor copilot jules devin
    """.split()
)
# What agents put before a name of theirs; an id is behind it then.
AGENTS = frozenset("claude codex cursor copilot opencode jules devin amp conductor".split())
_SUFFIX = re.compile(r"-(?=[a-zA-Z]*\d)(?=\d*[a-zA-Z])([0-9a-zA-Z]{4,30})\Z")
_PATCH = re.compile(r"(?:[\w.-]+-)?patch-\d{1,6}\Z")  # <user>-patch-1 on GitHub, main-patch-12345 on GitLab
# An id: digits, hexadecimal or not, a UUID, a time.
_HEX = re.compile(r"(?=.*\d)(?=.*[a-f])(?:[0-9a-f]{6,40}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\Z")
_TIME = re.compile(r"\d{8,20}\Z|\d{6,8}-?\d{4,6}\Z")
_VERSION = re.compile(r"v\d+(?:alpha|beta|rc)\d*")
_TERM = re.compile(r"[A-Za-z]+\d+[a-z]*|\d+[a-z]+")  # ed25519, utf8, i18n, 64bit: digits in one place
_WORKING = {"add", "bump", "chore", "docs", "feat", "feature", "fix", "issue", "release", "test", "update", "upgrade"}
# Before a name that people gave: a release called after an animal is no placeholder.
_LASTING = {"release", "releases", "stable", "support", "hotfix", "env", "deploy"}


def is_generic(branch: str) -> bool:
    """Whether a branch's name tells nothing of its task, so that one made from the task would be better."""
    *folders, name = branch.split("/")
    if folders and folders[-1] in _LASTING:
        return False
    if folders and folders[0] in AGENTS and (suffix := _SUFFIX.search(name)) and not _TERM.fullmatch(suffix[1]):
        return True
    words = name.replace("_", "-").split("-")
    name = "-".join(words)
    if name in PLACEHOLDERS or _numbered(name) or _PATCH.match(name) or _is_zeds(words):
        return True
    machine = 0
    while machine < len(words) - 1 and words[machine] in MACHINES:
        machine += 1
    rest = words[machine:]
    return _is_id("-".join(rest), machine > 0) or _is_random(rest, loose=machine > 0)


def _numbered(name: str) -> bool:
    word = name.rstrip("0123456789")
    digits = len(name) - len(word)
    return 0 < digits <= 3 and word.removesuffix("-") in PLACEHOLDERS | NUMBERED


def _is_id(text: str, machine: bool) -> bool:
    """Whether this is an id and no word; `machine`: it stands behind what machines put before their ids."""
    if _HEX.match(text) and (machine or (len(text) > 6 and not _TERM.fullmatch(text))):
        return True
    return machine and (_TIME.match(text) is not None or (len(text) >= 8 and _is_mixed(text)))


def _is_zeds(words: list[str]) -> bool:
    """Zed's: a word, and eight letters and digits."""
    if len(words) != 2 or not words[0].isalpha() or words[0] in _WORKING:
        return False
    return len(words[1]) == 8 and _is_mixed(words[1])


def _is_mixed(text: str) -> bool:
    if not re.fullmatch("[0-9a-z]+", text) or _VERSION.match(text):
        return False
    return len(re.findall(r"[a-z](?=\d)|\d(?=[a-z])", text)) >= 3


def _is_random(words: list[str], loose: bool) -> bool:
    """Whether these are random words, perhaps with something short behind, which has a digit; where it is `loose` it
    need not."""
    suffixed = len(words) > 2 and (re.search(r"\d", words[-1]) or (loose and len(words[-1]) == 4))
    return _is_phrase(words) or (bool(suffixed) and _is_phrase(words[:-1]))


def _is_phrase(words: list[str]) -> bool:
    """Whether these are an adjective and a noun, perhaps with another word between them, or three of Claude Code's."""
    if len(words) == 3:
        if words[0] in CLAUDES_LIKE and words[1] in CLAUDES_DOING and words[2] in CLAUDES_THINGS:
            return True
        if words[1] in ADJECTIVES or words[1].endswith(("ing", "ed")):
            words = [words[0], words[2]]
    return len(words) == 2 and words[0] in ADJECTIVES and words[1] in NOUNS
