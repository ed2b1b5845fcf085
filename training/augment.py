"""Make more rows out of careful ones by rules, keeping the name right: pure text in, text out.

A variant says the same task in other words or with what people put around it. One whose name would no longer be
grounded in it, or that hints at other types than its source did, is thrown away.
"""

from __future__ import annotations

import random
import re
import string
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from training.templates import Row, from_template
from wtname import naming
from wtname.words import FILLER, Words, stem

# Prompts beyond this are cut by `naming.clean`; what is put in front of one could push out a sentence that matters.
MOST_PROMPT_WORDS = 80
# A single line of a title's length: what an area tag, or a shout in capitals, stands on.
TITLE_WORDS = 20
# So many throws without a fit, and a rule is given up: the rows have nothing for it.
MOST_MISSES = 300


class Variant(NamedTuple):
    """A row made by rules, the place of the row it was made of (None: of a template), and how."""

    prompt: str
    name: str
    source: int | None
    how: str


def fault(name: str, prompt: naming.Prompt, words: Words) -> str | None:
    """What is wrong with a name for a prompt in one or two words, or None: its form, its words, or not grounded."""
    if not prompt.words:
        return "empty prompt"
    if name == naming.NONE:
        return None
    if not naming.NAME.fullmatch(name) or len(name) > naming.MAX_NAME:
        return "form"
    if not naming.gate(name, prompt):
        return "words"
    grounded, free = naming.allowed(prompt, words)
    return None if set(name.split("-")[1:]) <= {*grounded, *free} else "not grounded"


@lru_cache(maxsize=50_000)
def hint(word: str) -> str | None:
    """The type that a single word hints at by the rules, or None."""
    alone = naming.kind_of([word])
    # "feat" is also the answer where nothing hints; a leading verb of it still comes before another's.
    return alone if alone != "feat" or naming.kind_of([word, "fix"]) == "feat" else None


def evidence(words: Sequence[str]) -> tuple[str, frozenset[str | None]]:
    """The type that rules give to words, and the types that any of them hints at."""
    return naming.kind_of(list(words)), frozenset(map(hint, words)) - {None}


def _stems(name: str) -> set[str]:
    return {stem(word) for word in name.split("-")[1:]}


# --- rules: (row, dice, words known to be spelled right) -> another prompt, or None -----------------------------------

Rule = Callable[[Row, random.Random, "set[str]"], "str | None"]

IMPERATIVES = frozenset(
    """add align allow bump change convert cover delete disable document drop enable extract fix format hide implement
    introduce make merge move pin put refactor remove rename replace revert run show simplify sort split stop support
    test update upgrade use write""".split()
)
AREAS = ("api", "web", "core", "backend", "frontend", "infra", "server", "client", "mobile", "desktop", "platform")
PROJECTS = ("PROJ", "APP", "CORE", "OPS", "SHOP", "DATA", "WEB", "BILL")
POLITE_BEFORE = ("please ", "pls ", "could you please ", "can you ", "could you ", "would you please ")
POLITE_AFTER = (" please", ", please", ", thanks", ", thanks!", " thx", " pls")
CHATTY = ("hey, ", "hi, ", "ok so ", "so, ", "hello! ", "quick one: ", "another one: ", "as discussed: ", "hey there, ")
# One way only where the other reads wrong in some sentence: who resolves DNS does not fix it.
SYNONYMS = {
    said: others.split("/")
    for said, others in (
        line.split(" > ")
        for line in """add > introduce
fix > repair/resolve
remove > delete
wrong > incorrect
incorrect > wrong
fails > breaks
huge > very large
folder > directory
directory > folder
color > colour
colour > color
gray > grey
grey > gray
behavior > behaviour
behaviour > behavior
frequently > often
occasionally > sometimes/now and then
sometimes > occasionally/now and then
currently > at the moment/right now
right now > at the moment
at the moment > currently/right now
needs to > has to
have to > need to
need to > have to
we should > we ought to
instead of > rather than
every time > each time/whenever
whenever > every time/each time
everybody > everyone
everyone > everybody
nobody > no one
no one > nobody
doesn't > does not
isn't > is not
aren't > are not
can't > cannot
it's > it is
we're > we are""".splitlines()
    )
}
LEADING = frozenset({"add", "fix"})


def _head_lowered(prompt: str) -> str:
    """The prompt going on in lower case where its first word is a plain one, not a name."""
    first = prompt.split(maxsplit=1)[0] if prompt.strip() else ""
    plain = first.istitle() and (hint(first.lower()) or first.lower() in FILLER or first.lower() in IMPERATIVES)
    return prompt[0].lower() + prompt[1:] if plain else prompt


def casing(row: Row, rng: random.Random, known: set[str]) -> str | None:
    """Another case: all lower, a capital first, Each Word; a short one is shouted too."""
    ways = [str.lower, lambda s: s[0].upper() + s[1:], lambda s: s[0].lower() + s[1:]]
    if len(row.prompt.split()) <= TITLE_WORDS and "\n" not in row.prompt:
        ways += [string.capwords, str.upper]
    return rng.choice(ways)(row.prompt)


def typo(row: Row, rng: random.Random, known: set[str]) -> str | None:
    """A slip in one plain word that neither the name nor the type rests on, and that gives no other word."""
    plain = re.finditer(r"(?<![\w`/.@'’$-])[a-z]{5,}(?![\w`/.@'’(=-])", row.prompt)
    stems = _stems(row.name)
    words = [m for m in plain if stem(m.group()) not in stems and not hint(m.group())]
    if not words:
        return None
    word = rng.choice(words)
    old = word.group()
    at = rng.randrange(1, len(old) - 1)
    slips = (old[:at] + old[at + 1 :], old[:at] + old[at + 1] + old[at] + old[at + 2 :], old[:at] + old[at] + old[at:])
    new = rng.choice(slips)
    return None if new in known or new == old else row.prompt[: word.start()] + new + row.prompt[word.end() :]


def synonym(row: Row, rng: random.Random, known: set[str]) -> str | None:
    """Another word or two for one that the name does not use."""
    stems = _stems(row.name)
    places = [
        (match, others)
        for said, others in SYNONYMS.items()
        for match in re.finditer(r"(?<![\w`/.@#'’-])%s(?![\w`/.@'’(-])" % re.escape(said), row.prompt, re.I)
        if not stems & {stem(w) for w in said.split()} and (said not in LEADING or match.start() == 0)
    ]
    if not places:
        return None
    match, others = rng.choice(places)
    new = rng.choice(others)
    if match.group()[0].isupper():
        new = new[0].upper() + new[1:]
    return row.prompt[: match.start()] + new + row.prompt[match.end() :]


def polite(row: Row, rng: random.Random, known: set[str]) -> str | None:
    """Please, thanks, or a question where the prompt begins with an order."""
    prompt = row.prompt.strip()
    if not prompt or re.search(r"\b(?:please|pls|plz|thanks|thx)\b", prompt, re.I):
        return None
    if rng.random() < 0.5 and "\n" not in prompt:
        return prompt.rstrip(".") + rng.choice(POLITE_AFTER)
    before = rng.choice(POLITE_BEFORE)
    first = prompt.split(maxsplit=1)[0].lower()
    if first not in IMPERATIVES:
        return f"please: {prompt}" if row.name != naming.NONE and before == "please " else None
    asked = before + prompt[0].lower() + prompt[1:]
    if " you " in before and len(re.findall(r"[.!?](?:\s|$)", asked)) <= 1 and "\n" not in asked:
        return asked.rstrip(".!") + "?"
    return asked


def ticket(row: Row, rng: random.Random, known: set[str]) -> str | None:
    """A ticket id before or after it."""
    number = rng.choice((rng.randrange(10, 100), rng.randrange(1000, 10_000)))  # three or six digits could be a colour
    project = f"{rng.choice(PROJECTS)}-{number}"
    first = row.prompt.split("\n", 1)[0].strip()
    before = (f"{project}: ", f"[{project}] ", f"{project} ", f"#{number}: ", f"({project}) ")
    if "\n" in row.prompt or len(first.split()) > TITLE_WORDS or rng.random() < 0.6:
        return rng.choice(before) + row.prompt
    return row.prompt + rng.choice((f" (#{number})", f" #{number}", f" ({project})", f" [{project}]"))


def area(row: Row, rng: random.Random, known: set[str]) -> str | None:
    """A tag of an area that the prompt does not speak of."""
    said = {stem(w) for w in naming.clean(row.prompt).words}
    tag = rng.choice(AREAS)
    if stem(tag) in said or "\n" in row.prompt or not 3 <= len(row.prompt.split()) <= TITLE_WORDS:
        return None
    # A name of one word may stand for a prompt too vague to do without its area.
    if row.name.count("-") < 2 or re.match(r"\[|[\w/-]+(?:\([\w/-]+\))?:\s", row.prompt):
        return None
    return rng.choice((f"[{tag}] ", f"{tag}: ", f"[{tag.capitalize()}] ")) + row.prompt


def chatty(row: Row, rng: random.Random, known: set[str]) -> str | None:
    """Small talk before it."""
    return rng.choice(CHATTY) + _head_lowered(row.prompt.strip())


RULES: dict[str, Rule] = {
    "casing": casing, "typo": typo, "synonym": synonym, "polite": polite, "ticket": ticket, "area": area,
    "chatty": chatty,
}  # fmt: skip
# What is only put around a prompt has to leave the text that the model reads of it in one piece.
AROUND = frozenset({"polite", "area", "chatty"})


# --- all together ----------------------------------------------------------------------------------------------------


def stays_right(row: Row, prompt: str, how: str, words: Words) -> bool:
    """Whether a variant of a row still asks for the row's name, and with the same evidence of its type."""
    before, after = naming.clean(row.prompt), naming.clean(prompt)
    if prompt == row.prompt or len(before.words) > MOST_PROMPT_WORDS:
        return False
    if fault(row.name, before, words) or fault(row.name, after, words):
        return False
    if evidence(before.words) != evidence(after.words):
        return False
    if how == "ticket":
        return after.text == before.text and len(after.tickets) > len(before.tickets)
    if after.tickets != before.tickets:
        return False
    if row.name == naming.NONE and naming.telling(before) != naming.telling(after):
        return False
    return how not in AROUND or before.text in after.text


def augment(rows: Sequence[Row], count: int, seed: int, words: Words) -> list[Variant]:
    """`count` variants, no two alike and none like a row, of templates and of each rule by turns.

    Fewer where the rows do not yield as many. The same rows, count and seed give the same variants.
    """
    rng = random.Random(seed)
    known = _known(rows, words)
    seen = {row.prompt for row in rows}
    kinds = ["template", *RULES] if rows else ["template"]
    out: list[Variant] = []
    misses = 0
    while kinds and len(out) < count:
        how = kinds[len(out) % len(kinds)]
        variant = _variant(rows, how, rng, known, words)
        if variant and variant.prompt not in seen:
            seen.add(variant.prompt)
            out.append(variant)
            misses = 0
        elif (misses := misses + 1) == MOST_MISSES:
            kinds.remove(how)
            misses = 0
    return out


def _variant(rows: Sequence[Row], how: str, rng: random.Random, known: set[str], words: Words) -> Variant | None:
    if how == "template":
        row = from_template(rng)
        return None if fault(row.name, naming.clean(row.prompt), words) else Variant(*row, None, how)
    source = rng.randrange(len(rows))
    row = rows[source]
    prompt = RULES[how](row, rng, known)
    if prompt is None or not stays_right(row, prompt, how, words):
        return None
    return Variant(prompt, row.name, source, how)


def _known(rows: Iterable[Row], words: Words) -> set[str]:
    """Words that a slip must not give: those of names, and those that more than one prompt uses."""
    used = Counter(word for row in rows for word in set(re.findall(r"[a-z]+", row.prompt.lower())))
    of_names = {word for kin in words.kin.values() for word in kin}
    return {word for word, count in used.items() if count > 1} | of_names | {*words.free} | FILLER
