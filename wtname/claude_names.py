"""The names that Claude Code gives to its worktrees: which ones nobody chose, and what git can take of them. Pure."""

from __future__ import annotations

import re

from wtname.generic import is_generic

MAX = 64  # characters of a name; Claude Code refuses more
# The middle of Claude Code's random names: adjective, one of these, noun.
_DOING = frozenset(
    """
    baking beaming booping bouncing brewing bubbling chasing churning coalescing conjuring cooking crafting crunching
    cuddling dancing dazzling discovering doodling dreaming drifting enchanting exploring finding floating fluttering
    foraging forging frolicking gathering giggling gliding greeting growing hatching herding honking hopping hugging
    humming imagining inventing jingling juggling jumping kindling knitting launching leaping mapping marinating
    meandering mixing moseying munching napping nibbling noodling orbiting painting percolating petting plotting
    pondering popping prancing purring puzzling questing riding roaming rolling running sauteeing scribbling seeking
    shimmying singing skipping sleeping snacking sniffing snuggling soaring sparking spinning splashing sprouting
    squishing stargazing stirring strolling swimming swinging tickling tinkering toasting tumbling twirling waddling
    wandering watching weaving whistling wibbling wiggling wishing wobbling wondering yawning zooming
    """.split()
)
# What a name begins with that tells of work: fix-skipping-tests is no random one.
_WORK = frozenset(
    """
    add avoid bug build bump change check chore ci clean debug delete docs drop enable error feat feature find fix get
    handle hotfix implement improve issue keep make move new no prevent refactor remove rename replace revert set show
    speed stop style support test tests try tune update upgrade use wip write
    """.split()
)
_RANDOM = re.compile(r"([a-z]+)-([a-z]+ing)-[a-z]+\Z")
_MACHINE = re.compile(r"(?:agent|bridge)-[\w-]+\Z")


def is_generated(name: str) -> bool:
    """Whether Claude Code made this name up: random words, or the id of an agent."""
    if not name or _MACHINE.match(name):
        return True
    found = _RANDOM.match(name)
    if found and found[2] in _DOING and found[1] not in _WORK:
        return True
    return is_generic(name) or is_generic("worktree-" + name)


def plain(name: object) -> str:
    """What of a name may stand in a branch's: letters, digits, dots, dashes and underscores, in parts with slashes
    between; nothing where nothing is left."""
    if not isinstance(name, str):
        return ""
    from wtname.naming import to_ascii

    parts = []
    for part in to_ascii(name[: 4 * MAX]).split("/"):
        part = re.sub(r"[^A-Za-z0-9_.-]+", "-", part)
        part = re.sub(r"\.{2,}|\.lock\b", "-", part).strip("-.")
        if part:
            parts.append(part)
    return "/".join(parts)[:MAX].strip("-./")


def flat(name: str) -> str:
    """The name as Claude Code writes it where no slash may stand."""
    return name.replace("/", "+")
