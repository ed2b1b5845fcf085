"""How the branches of a repository are called, from those it has and had and from what its documents say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from wtname import evidence
from wtname.documents import Statement
from wtname.evidence import LEAST, MAJORITY
from wtname.git.history import Commit
from wtname.settings import Settings
from wtname.shapes import ONE_WORD, SAME_AS, TYPE_OF, Shape, shape
from wtname.template import asks_for, without_empty

_OTHERS = "(others)"


class Share(NamedTuple):
    """How many of the names have one template, with some of them."""

    template: str
    names: int
    share: float
    examples: list[str]


class Convention(NamedTuple):
    """What was found. `template` is None where there is no convention; `shape` is what `shapes.shape` makes of the
    convention's names; `config` is what to set so that new branches follow it."""

    template: str | None
    shape: str
    source: str | None
    share: float
    names: int
    ignored: int
    shares: list[Share]
    prefixes: list[dict[str, object]]
    tickets: dict[str, object]
    users: dict[str, object]
    separator: str | None
    case: str | None
    length: dict[str, int] | None
    documents: list[Statement]
    config: dict[str, str]


def learn(
    branches: Iterable[str], commits: Iterable[Commit], documents: list[Statement], chosen: Settings, email: str = ""
) -> Convention:
    """The convention of a repository with these branches, these commits and these documents, and how far it goes.
    `chosen` and `email` are the user's, who may have a prefix of his own."""
    commits = list(commits)
    names, ignored = evidence.names(branches, commits)
    known = evidence.known(names, commits, chosen.user)
    shapes = [shape(name, known) for name in names]
    common, share, members = _majority(shapes)
    template, source, pattern, config = None, None, "", {}
    words: list[str] = []
    if common:
        pattern, source = _with_ticket(common, members), "branches"
        words = [s.type for s in members]
        template = pattern
        if len({word.lower() for word in words}) == 1 and SAME_AS.get(words[0].lower()) == "feat":
            template = pattern.replace("{type}", Counter(words).most_common(1)[0][0])  # one word for every task
    elif documents:
        pattern, source = _stated(documents), "documents"
        template, words = pattern, [word for said in documents for word in said.words]
    if template:
        template = template.replace("{type}-{slug}", "{name}")
        config["wtname.template"] = template
        if asks_for("type", template) or asks_for("name", template):
            config.update(_types(words))
        if asks_for("user", template):
            config.update(_user(members, evidence.handles_of(commits, email), chosen))
        if asks_for("ticket", template) and (keys := sorted({s.ticket.split("-")[0] for s in members} & known.keys)):
            config["wtname.ticket"] = rf"(?i)\b(?:{'|'.join(keys)})-\d+"
    return Convention(
        template,
        pattern,
        source,
        round(share, 3) if source == "branches" else 0.0,
        len(names),
        ignored,
        _shares(names, shapes),
        _prefixes(shapes),
        _tickets(shapes),
        _users(shapes),
        _separator(shapes),
        _case(shapes),
        _length(names),
        documents,
        config,
    )


def _base(template: str) -> str:
    return without_empty(template, {"ticket": ""})


def _majority(shapes: list[Shape]) -> tuple[str, float, list[Shape]]:
    """What a clear majority has in common, a ticket aside; a word that may be a type is one where a majority has it."""
    if len(shapes) < LEAST:
        return "", 0.0, []
    firm = [_base(s.template) for s in shapes]
    loose = [_base(s.loose) for s in shapes]
    for bases in (firm, loose):
        common, count = Counter(bases).most_common(1)[0]
        share = count / len(shapes)
        exact = sum(base == common for base in firm)
        if common not in ("", ONE_WORD) and share >= MAJORITY and exact >= MAJORITY * count:
            members = [
                s if bases is firm else s._replace(template=s.loose)
                for s, base in zip(shapes, bases, strict=True)
                if base == common
            ]
            return common, share, members
    return "", 0.0, []


def _with_ticket(common: str, members: list[Shape]) -> str:
    ticketed = Counter(s.template for s in members if s.ticket and asks_for("ticket", s.template))
    return ticketed.most_common(1)[0][0] if ticketed.total() >= MAJORITY * len(members) else common


def _stated(documents: list[Statement]) -> str:
    """The fullest of the templates that most statements agree on, a ticket aside."""
    common = Counter(_base(said.template) for said in documents).most_common(1)[0][0]
    return max((said.template for said in documents if _base(said.template) == common), key=len)


def _types(words: Iterable[str]) -> dict[str, str]:
    """The settings for the team's own words for our types."""
    counts = Counter(word for word in words if word.lower() in SAME_AS)
    chosen: dict[str, str] = {}
    for word, _ in counts.most_common():
        chosen.setdefault(SAME_AS[word.lower()], word)
    return {f"wtname.type.{kind}": word for kind, word in sorted(chosen.items()) if word != kind}


def _user(members: list[Shape], handles: set[str], chosen: Settings) -> dict[str, str]:
    own = {s.user.lower() for s in members} & handles
    return {"wtname.user": own.pop()} if len(own) == 1 and chosen.user not in own else {}


def _shares(names: list[str], shapes: list[Shape]) -> list[Share]:
    examples: dict[str, list[str]] = {}
    for name, found in zip(names, shapes, strict=True):
        examples.setdefault(found.template or _OTHERS, []).append(name)
    shares = [Share(t, len(n), round(len(n) / len(names), 3), sorted(n)[:3]) for t, n in examples.items()]
    return sorted(shares, key=lambda share: (share.template == _OTHERS, -share.names, share.template))


def _prefixes(shapes: list[Shape]) -> list[dict[str, object]]:
    counts = Counter(s.type for s in shapes if s.type)
    return [
        {"prefix": word, "type": TYPE_OF[word.lower()], "names": count, "share": round(count / len(shapes), 3)}
        for word, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    ]


def _tickets(shapes: list[Shape]) -> dict[str, object]:
    found = [s.ticket for s in shapes if s.ticket]
    keys = Counter(ticket.partition("-")[0] for ticket in found if "-" in ticket)
    styles = [f"{key}-123" for key, _ in keys.most_common(5)] + ["123"] * any("-" not in ticket for ticket in found)
    return {"styles": styles, "names": len(found), "share": round(len(found) / len(shapes), 3) if shapes else 0.0}


def _users(shapes: list[Shape]) -> dict[str, object]:
    counts = Counter(s.user for s in shapes if s.user)
    share = round(counts.total() / len(shapes), 3) if shapes else 0.0
    return {"names": counts.total(), "share": share, "most": [user for user, _ in counts.most_common(5)]}


def _separator(shapes: list[Shape]) -> str | None:
    counts = Counter(char for s in shapes for char in s.slug if char in "-_.")
    return counts.most_common(1)[0][0] if counts else None


def _case(shapes: list[Shape]) -> str | None:
    slugs = [s.slug for s in shapes if s.slug]
    if not slugs:
        return None
    lower = sum(slug == slug.lower() for slug in slugs)
    return "lower" if lower >= MAJORITY * len(slugs) else "mixed"


def _length(names: list[str]) -> dict[str, int] | None:
    lengths = sorted(map(len, names))
    return {"median": lengths[len(lengths) // 2], "longest": lengths[-1]} if lengths else None


def changes(config: Mapping[str, str], effective: Mapping[str, str]) -> dict[str, str]:
    """What of the convention's settings is not in force yet."""
    default = {"wtname.template": Settings().template}
    return {key: value for key, value in config.items() if (effective.get(key) or default.get(key)) != value}
