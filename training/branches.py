"""People's branch names brought into our form, pure: what tells nothing is taken off, the unfit get a reason."""

from __future__ import annotations

import re

from training.merges import Merge, clean
from wtname import naming
from wtname.words import FILLER, SHORT, WHOLE, plain, stem

# The type that a branch says before a slash; before a hyphen only where the word stands for nothing else.
_PREFIXES = {
    "feat": "feat feats feature features enhancement enhancements enhance improvement improvements new",
    "fix": "fix fixes bug bugs bugfix bugfixes hotfix hotfixes",
    "refactor": "refactor refactors refactoring cleanup clean",
    "docs": "doc docs documentation",
    "chore": "chore chores ci build deps dependency dependencies tooling maintenance revert",
    "test": "test tests testing",
    "style": "style styles lint format",
}
_KIND = {word: kind for kind, words in _PREFIXES.items() for word in words.split()}
_LEADS = frozenset("feat feature bug bugfix hotfix refactor refactoring doc docs chore test tests style".split())
_CONVENTIONAL = re.compile(r"(\w+)(?:\([^()]*\))?!?: ")
# What a type says already.
_SAYS = {
    "feat": "feat feature features add adds added adding implement implements introduce introduces",
    "fix": "fix fixes fixed fixing bug bugs bugfix hotfix",
    "refactor": "refactor refactors refactored refactoring",
    "docs": "doc docs documentation document add adds",
    "chore": "chore chores",
    "test": "test tests testing add adds",
    "style": "style styles",
}
_VERBS = frozenset(
    """add allow bump change clean cleanup drop enable enhance fix handle implement improve introduce make move refactor
    remove rename replace revert rework support tweak update upgrade use""".split()
)
_SMALL = frozenset("a an the of for to with and from by at is are be in on".split())
_BEFORE_IN = frozenset("sign log opt plug built drop check lock".split())
_DEFAULT = re.compile(r"(?:.*[-_/])?patch[-_]?\d+(?:[-_]\d+)*\Z|patch(?:es)?\Z", re.I)
_REVERT = re.compile(r"revert[-_]\d+[-_]")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.I)
_PROJECT = re.compile(r"([A-Za-z][A-Za-z0-9]{1,9})[-_](\d+)(?=[-_/.]|\Z)")
_TICKET = re.compile(
    r"(?<![^-_/.#])(?:(?:gh|issues?|bugs?|bz|tickets?|pr|mr|rt|sc|ch|t|jira|story)[-_/#]*)?#?(\d+)(?![^-_/.])", re.I
)
_SWITCH = re.compile(r"(?<=\d)(?=[a-z])|(?<=[a-z])(?=\d)", re.I)


def is_random(token: str) -> bool:
    """Whether a part of a branch is no word but chance: hex, letters among digits, humps everywhere, no vowel."""
    if re.fullmatch(r"(?=.*\d)(?=.*[a-f])[0-9a-f]{6,40}", token, re.I) or len(_SWITCH.findall(token)) >= 3:
        return True
    humps = len(naming.split_word(token))
    if humps >= 4 and len(token) < 2.7 * humps:
        return True
    return bool(re.fullmatch(r"[bcdfghjklmnpqrstvwxz]{5,}", token))


def _kind(parts: list[str], title: str, prompt: naming.Prompt) -> str:
    """The type that the branch says before a slash, a conventional title, the branch's first word, or rules say."""
    for part in parts[:-1]:
        if kind := _KIND.get(part.lower()):
            return kind
    lead = re.split(r"[-_]", parts[-1].lower(), maxsplit=1)[0]
    found = _CONVENTIONAL.match(title)
    for word in ([found[1].lower()] if found else []) + [lead]:
        if word in _LEADS or (word != lead and word in ("fix", "ci", "build")):
            return _KIND[word]
    kind = naming.kind_of(prompt.words)
    return "fix" if lead in ("fix", "fixes") and kind not in ("docs", "test") else kind


def _plain(words: list[str]) -> list[str]:
    """The words in the form that a name has them in, each once, without articles and most prepositions."""
    telling = [
        word
        for before, word in zip(["", *words], words)
        if word.isalnum() and (word not in _SMALL or (word == "in" and before in _BEFORE_IN))
    ]
    return list(dict.fromkeys(SHORT.get(word) or _singular(word) for word in telling))


def _singular(word: str) -> str:
    one = plain(word)
    return word if word == "docs" or (word in WHOLE and one not in WHOLE) else one


def _stripped(parts: list[str], owner: str, said: set[str]) -> tuple[str, str]:
    """What is left of a branch's parts without types, users, areas that the title lacks, tickets and chance; and a word
    for what was taken off last."""
    *before, last = parts
    before = [naming.normalise(part) for part in before if part.lower() not in _KIND]
    kept = [part for part in before if part and {stem(word) for word in part.split()} <= said]
    removed = "user_only" if len(kept) < len(before) else "wordless"
    if owner and re.match(rf"{re.escape(owner)}(?:[-_.]|\Z)", last, re.I):
        last, removed = last[len(owner) :], "user_only"

    def unsaid(found: re.Match[str]) -> str:
        nonlocal removed
        if found[found.lastindex or 0] in said:
            return found[0]
        removed = "ticket_only"
        return ""

    if (found := _PROJECT.match(last)) and (found[1].isupper() or stem(found[1].lower()) not in said | set(_KIND)):
        last = unsaid(found) + last[found.end() :]
    # A version is no ticket; it is written as the title has it.
    version = lambda m: f"v{m[1]}" if f"v{m[1]}" in said else m[1]  # noqa: E731
    last = _TICKET.sub(unsaid, re.sub(r"\bv?(\d+)(?=\.\d)", version, last, flags=re.I))
    tokens = re.split(r"[-_.+]", last)
    words = [t for t in tokens if not (is_random(t) and t.lower() not in said)]
    if len(words) < len(tokens):
        removed = "random"
    return " ".join([*kept, *words]).strip(), removed


def name_from(merge: Merge) -> tuple[str, str]:
    """The name that a merge's branch gives its title, or "" and the reason in a word: default, ticket_only, user_only,
    random, foreign, wordless, too_long, vague, or unfaithful: none of its words but common verbs has its stem in the
    title."""
    branch = merge.branch
    if not branch.isascii():
        return "", "foreign"
    if _DEFAULT.match(branch):
        return "", "default"
    prompt = clean(merge.title)
    said = {form for word in prompt.words for form in (word, stem(word))}
    branch, reverts = _REVERT.subn("revert/", branch, count=1)
    bare, uuids = _UUID.subn("", branch)
    parts = bare.split("/")
    kind = _kind(parts, merge.title, prompt)
    left, removed = _stripped(parts, merge.owner, said)
    words = naming.normalise(left).split()
    says = set(_SAYS[kind].split())
    while words and words[0] in says:
        words = words[1:]
    body = [word for word in dict.fromkeys(["revert"] * reverts + _plain(words)) if word != kind]
    if not any(re.search("[a-z]", word) for word in body):
        return "", "random" if uuids else removed
    stems = {stem(word) for word in body if word not in FILLER | _VERBS}
    if not stems & said:
        return "", "unfaithful"
    name = "-".join([kind, *body])
    if len(body) > naming.MOST_WORDS or len(name) > naming.MAX_NAME:
        return "", "too_long"
    return (name, "") if naming.gate(name, prompt) else ("", "vague")
