"""Text in, text out: clean a prompt, render it for the model, form and gate a name, pick words."""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

from wtname.versions import repeats, runs, taken
from wtname.words import FILLER, FOREIGN, SHORT, WHOLE, Words, forms, is_number, plain, stem

TYPES = ("feat", "fix", "refactor", "docs", "chore", "test", "style")
NONE = "none"
MAX_NAME = 50
MOST_WORDS = 6
MAX_WORDS = 96
# What a type says already where a name begins with it: adding is what a feature does.
SAID_BY = {"feat": ("add", "feature")}
TITLE = 16  # words of a prompt that is a title

NAME = re.compile(r"(?:%s)(?:-[a-z0-9]+){1,%d}" % ("|".join(TYPES), MOST_WORDS))

_NOISE_TAGS = (
    "system-reminder|environment_details|environment_context|command-name|command-message|command-args|"
    "local-command-stdout|local-command-caveat|attached_files|attachments?|file_contents?|document_contents?|"
    "user_info|git_status|thinking|function_results?|tool_results?|user_instructions|INSTRUCTIONS"
)
_NOISE = re.compile(r"<(%s)(?![\w-])[^<>]{0,500}>" % _NOISE_TAGS, re.I)
_CLOSING = re.compile(r"</([A-Za-z][\w-]*)\s{0,20}>")
_TAG = re.compile(r"</?([A-Za-z][\w-]*)(?:[\s/][^<>]{0,500})?>")
_FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,}).*?(?:^[ \t]*\1[ \t]*$|\Z)", re.S | re.M)
_TRACE = re.compile(
    r"""(?:
        at\s+\S.*[(:]\d+\)?$ | File\s".*",\sline\s\d+.* | Traceback\s\(most\srecent.* |
        \d+:\s+(?:0x[0-9a-f]+|\S+::\S+).* | goroutine\s\d+\s\[.* | \S+\.go:\d+.*\+0x.* |
        \#\d+\s+0x[0-9a-f]+.* | \.{3}\s\d+\smore | from\s\S+:\d+:in\s.* | [\^~\s]+ | \d+\s*\|.*
    )\Z""",
    re.X,
)
_TRAILER = re.compile(
    r"(?:signed-off-by|co-authored-by|co-developed-by|reviewed-by|acked-by|tested-by|assisted-by|assited-by|"
    r"reported-by|suggested-by|cc|change-id|pull-request-id|release note|git-svn-id)\s*:.*|"
    r"\(cherry picked from commit.*\)\Z",
    re.I,
)
_URL = re.compile(r"(?:https?|ftp|git|ssh)://[^\s<>\"'`)\]]+|\bwww\.[^\s<>\"'`)\]]+")
_MARKDOWN_LINK = re.compile(r"!?\[([^\[\]\n]{0,300})\]\([^()\s]{0,500}(?:\([^()\s]{0,200}\)[^()\s]{0,200})?\)")
_URL_TICKET = re.compile(
    r"/(?:issues|pull|pulls|merge_requests|bugs?|browse|tickets?|issue|work_items)/(?:#)?([A-Za-z][A-Za-z0-9]*-\d+|\d+)\b"
)
# What looks like PROJECT-123 and is none.
_NOT_TICKETS = (
    "GH|UTF|UCS|SHA|ISO|RFC|CVE|CWE|MD|AES|RSA|ES|PEP|HTTP|TLS|SSL|IPV|IEEE|ECMA|BASE|WIN|X|COVID|GPT|H|MP|LUKS|EC|ED"
)
_JIRA = re.compile(r"(?<![\w/-])(?!(?:%s)-)([A-Z][A-Z0-9]{1,9}-\d{1,6})(?![\w-])" % _NOT_TICKETS)
_NUMBER = re.compile(r"(?:\b(?:gh|bug|issue|issues|pr|rt)[ -]?)?(?<![\w&])#(\d+)\b|\bGH-(\d+)\b", re.I)
_COLOURS = re.compile(r"\b(?:colou?rs?|background|css|gr[ae]y|hex|shade|border|palette|theme)\b", re.I)
_CLOSES = re.compile(
    r"\b(?:close[sd]?|fix(?:e[sd])?|resolve[sd]?|see|ref(?:s|erences)?|part of|related to|follow-?up (?:to|of))"
    r"[:\s]{1,3}(?:[\w.-]{1,100}/[\w.-]{1,100})?#\d+(?:\s*(?:,|and)\s*#\d+)*\.?",
    re.I,
)
_HASH = re.compile(
    r"\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{7,64}\b|"
    r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\b0x[0-9a-f]{5,}\b",
    re.I,
)
_LINE_NUMBER = re.compile(r"(\.[a-z]{1,4}):\d+(?::\d+)?\b", re.I)
# A line broken by a column limit, not by its author: long, or going on in lower case.
_WRAPPED = re.compile(r"(?<=\w)[ \t]*\n[ \t]*(?=[a-z])|(?<=[\w,][^\n]{55})[ \t]*\n[ \t]*(?=[A-Za-z`\"'])")
_SHORTCODE = re.compile(r":[a-z][a-z0-9_+-]*:")
_PIECES = re.compile(r"[A-Za-z0-9]+(?:['’][A-Za-z]+)*|[.!;](?=\s|$)|[:\]](?=\s|$)|\?|\n|(?<=\s)[(](?=\w)")
# Not inside the plural of an acronym (HealthyPGs), and no lone letter before a hump (JCasc).
_HUMPS = re.compile(r"(?<=[a-z0-9])(?<!^[a-z])(?=[A-Z])|(?<=[A-Z])(?<!^[A-Z])(?=[A-Z](?!s(?:[A-Z]|$))[a-z])")
# Names with humps of their own, where they are part of an identifier: GitHubToken, SQLite3Adapter.
_MIXED = re.compile(
    r"GraphQL|GitHub|GitLab|JavaScript|TypeScript|CoffeeScript|SQLite|PostgreSQL|MySQL|NoSQL|MongoDB|DynamoDB|InfluxDB|"
    r"OAuth|OpenAPI|OpenSSL|OpenSSH|OpenGL|OpenID|WebGL|WebGPU|WebRTC|WebSocket|YouTube|PayPal|WhatsApp|LinkedIn|"
    r"WordPress|DevTools|IPv(?=[46])|macOS|iOS|iPhone|iPad"
)
_ACRONYMS = re.compile(r"[A-Z][A-Z0-9]*s")
MARKS = {".": ".", "!": ".", ";": ".", ":": ":", "]": ":", "?": "?", "\n": "|", "(": "("}


class Prompt(NamedTuple):
    """A cleaned prompt: what the model sees, the ticket ids that it does not, and whether it is in letters that tell it
    nothing."""

    text: str
    tickets: tuple[str, ...]
    foreign: bool = False

    @property
    def words(self) -> list[str]:
        """The words of the text in order, without its marks."""
        return [w for w in self.text.split(" ") if w.isalnum()]


def to_ascii(text: str) -> str:
    """The text in ASCII: letters transliterated (anyascii), symbols and emoji dropped, controls made spaces."""
    if text.isascii():
        return re.sub(r"[^\n\x20-\x7e]", " ", text)
    from anyascii import anyascii  # 8 ms that plain English need not pay

    out = []
    for char in unicodedata.normalize("NFKC", text):
        if char.isascii():
            out.append(char if char == "\n" or " " <= char <= "~" else " ")
        elif char in "‘’ʼ":
            out.append("'")
        elif unicodedata.category(char)[0] in "LNM":
            plain = anyascii(char)
            # Han, kana and hangul have no spaces: each character is read as a word of its own.
            out.append(f" {plain} " if unicodedata.category(char) == "Lo" and ord(char) >= 0x2E80 else plain)
        elif unicodedata.category(char)[0] == "P":
            out.append({"。": ". ", "、": " ", "，": " ", "：": ": ", "？": "? ", "…": ". "}.get(char, " "))
        else:
            out.append(" ")
    return "".join(out)


def split_word(word: str) -> list[str]:
    """A word in lower case, split at its humps unless it is a name read as a whole."""
    lower = word.lower()
    if len(word) <= 4 or lower in WHOLE or _ACRONYMS.fullmatch(word):
        return [lower]
    named = _MIXED.sub(lambda m: m.group().capitalize(), word)
    return [part.lower() for part in _HUMPS.split(named)]


def _strip_noise(text: str) -> str:
    """The text without what tools put around a prompt. A tag that nothing closes takes the rest along where it opens a
    line; within a line it is prose."""
    out: list[str] = []
    at = 0
    open_for_good: set[str] = set()
    for tag in _NOISE.finditer(text):
        name = tag.group(1).lower()
        if tag.start() < at:
            continue
        end = None if name in open_for_good else re.compile(rf"</{name}\s{{0,20}}>", re.I).search(text, tag.end())
        if end:
            out += [text[at : tag.start()], "\n"]
            at = end.end()
        elif not text[text.rfind("\n", 0, tag.start()) + 1 : tag.start()].strip():
            return "".join([*out, text[at : tag.start()]])
        else:
            open_for_good.add(name)
    return "".join([*out, text[at:]])


def _strip_envelopes(text: str) -> str:
    closed = {tag.group(1).lower() for tag in _CLOSING.finditer(text)}
    return _TAG.sub(lambda tag: "\n" if tag.group(1).lower() in closed else tag.group(), text)


def _is_noise(line: str) -> bool:
    line = line.strip()
    return len(line) < 300 and bool(_TRACE.match(line) or _TRAILER.match(line))


def _strip_lines(text: str) -> str:
    return "\n".join(line for line in text.split("\n") if not _is_noise(line))


def _ends(text: str, limit: int) -> str:
    """The first and the last half of what is longer than `limit` characters: an ask stands at either end."""
    return text if len(text) <= limit else f"{text[: limit // 2]}\n{text[-limit // 2 :]}"


def tickets(text: str) -> tuple[str, ...]:
    """The ticket ids in a text, in order of appearance: JIRA-style ids, issue URLs, `#123` and `GH-123`."""
    found: list[tuple[int, str]] = []
    for url in _URL.finditer(text):
        if ticket := _URL_TICKET.search(url.group()):
            found.append((url.start(), ticket.group(1).upper()))
    plain = _URL.sub(lambda m: " " * len(m.group()), text)
    found += [(m.start(), m.group(1)) for m in _JIRA.finditer(plain)]
    for number in _NUMBER.finditer(plain):
        digits = number.group(1) or number.group(2)
        # `#0` is a stack frame; `#333` beside a word for colours is one.
        if digits.lstrip("0") and not (len(digits) in (3, 6) and _COLOURS.search(plain)):
            found.append((number.start(), digits))
    return tuple(dict.fromkeys(ticket for _, ticket in sorted(found)))


def normalise(text: str) -> str:
    """Lower-case words and the marks . : ? | ( set apart by single spaces; the same for prompts and names."""
    text = _WRAPPED.sub(" ", _LINE_NUMBER.sub(r"\1", to_ascii(text)))
    text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)
    out: list[str] = []
    for piece in _PIECES.findall(text):
        if mark := MARKS.get(piece):
            if out and out[-1] not in MARKS.values():
                out.append(mark)
            elif out and mark == "|":
                out[-1] = mark
        else:
            out += split_word(re.sub("['’]", "", piece))
    while out and out[-1] in ".:|(":
        out.pop()
    return " ".join(out)


_ASK = re.compile(
    r"\b(?:please|pls|plz|should|shouldnt|want|need|needs|must|can|could|would|lets|instead|add|fix|make|remove|"
    r"change|replace|rename|implement|support|allow|stop|bitte|todo|task|goal|expected|actual|bug|broken|wrong)\b"
)


def shorten(text: str, limit: int = MAX_WORDS) -> str:
    """At most `limit` words and marks of a normalised text: whole sentences, the first, the last and the asking."""
    words = text.split(" ")
    if len(words) <= limit:
        return text
    sentences = [s for s in re.findall(r"[^.|?]+[.|?]?", text) if s.strip()]
    last = len(sentences) - 1

    def weight(i: int) -> float:
        asks = len(_ASK.findall(sentences[i]))
        place = 3.0 if i == 0 else 1.0 if i in (1, last) else 0.0
        return place + min(asks, 2) - 2 * i / len(sentences)

    kept: dict[int, list[str]] = {}
    room = limit
    for i in sorted(range(len(sentences)), key=weight, reverse=True):
        part = sentences[i].split()
        if len(part) <= room or (i == 0 and not kept):
            kept[i] = part[:room]
            room -= len(kept[i])
    return " ".join(word for i in sorted(kept) for word in kept[i])


def clean(prompt: str) -> Prompt:
    """What is left of a prompt once envelopes, code, traces, links, ids and trailers are taken out."""
    prompt = _ends(prompt, 400_000).replace("\r\n", "\n").replace("\r", "\n")
    text = _strip_envelopes(_ends(_strip_noise(prompt), 20_000))
    bare = _strip_lines(_FENCE.sub("\n", text))
    ids = tickets(bare)
    if not re.search(r"\w{2}", bare):
        bare = text.replace("`", " ")
    bare = _MARKDOWN_LINK.sub(r"\1", bare)
    for noise in (_CLOSES, _URL, _JIRA, _NUMBER, _HASH, _SHORTCODE):
        bare = noise.sub(" ", bare)
    foreign = False
    if not bare.isascii():
        from wtname.glossary import english  # as little read for plain English as to_ascii's tables

        bare, foreign = english(bare)
    return Prompt(shorten(normalise(bare)), ids, foreign)


# ChatML with the roles of the original; each marker is one token of the vocabulary, and the constant system prompt is
# left out: the model knows one task.
USER = "<|im_start|>user\n"
ASSISTANT = "<|im_end|>\n<|im_start|>assistant\n"
END = "<|im_end|>"


def render(text: str) -> str:
    """A cleaned prompt as the model reads it, up to where its answer begins."""
    return f"{USER} {text}{ASSISTANT}"


def render_name(name: str) -> str:
    """A name as the model writes it: its words as words, so that a copied word has the prompt's tokens."""
    return f" {name.replace('-', ' ')}{END}"


# --- words picked by rules -------------------------------------------------------------------------------------------

# Verbs that a type says already; they lead a prompt and stay out of the name.
_LEADS: dict[str, tuple[str, ...]] = {
    "fix": tuple("fix fixes fixed fixing repair resolve resolves correct handle handles prevent prevents avoid avoids "
                 "bugfix hotfix bug patch solve stop".split()),
    "feat": tuple("add adds added adding implement implements implemented introduce introduces support supports create "
                  "creates enable enables allow allows provide provides expose feat feature improve improves".split()),
    "refactor": tuple("refactor refactors refactored refactoring simplify cleanup clean restructure reorganize "
                      "extract move moves moved split rename renames renamed convert remove removes removed".split()),
    "docs": tuple("doc docs document documents documentation".split()),
    "test": tuple("test tests testing".split()),
    "style": tuple("style format reformat lint".split()),
    "chore": tuple("chore bump bumps bumped upgrade upgrades update updates updated release revert reverts".split()),
}
_LEAD_TYPE = {word: kind for kind, words in _LEADS.items() for word in words}
_SAID = frozenset("fix fixes fixed fixing add adds added adding implement implements introduce feat feature chore doc "
                  "docs document documentation refactor refactoring test tests style bug bugfix".split())
# Compiled where first used: a name by the model needs none of them.
_HINTS = {
    kind: r"\b(?:%s)\b" % words
    for kind, words in (
        ("docs", "docs?|readme|documentation|docstrings?|changelog|typos?|comments?|tutorial|guide|"
                 "javadoc|faq|wiki|license"),
        ("test", "tests?|testing|specs?|flaky|fixtures?|coverage|e2e|unittests?|pytest|testcases?"),
        ("style", "whitespace|indentation|formatting|lint|prettier|eslint|rubocop|black|colou?rs?|padding|"
                  "margin|font|spacing"),
        ("chore", "bumps?|upgrade|deps?|dependency|dependencies|ci|travis|jenkins|workflow|workflows|dockerfile|"
                  "release|changelog|makefile|version|renovate|dependabot|github actions|revert|gitignore|owners"),
        ("fix", "fix(?:e[sd])?|bugs?|crash(?:e[sd])?|errors?|broken|breaks?|wrong|fail(?:s|ed|ing|ure|ures)?|leaks?|"
                "missing|incorrect|race|deadlock|panics?|regression|exception|undefined|null|nan|hangs?|invalid|stale|dont|"
                "doesnt|cant|never|twice|lost|loses|bugfix|prevent|avoid|handle"),
        ("refactor", "refactor(?:s|ed|ing)?|simplify|cleanup|clean|rename[sd]?|extract|move[sd]?|split|deduplicate|"
                     "unused|dead|deprecated|remove[sd]?|internal|helper|rewrite|convert|migrate"),
    )
}


def kind_of(words: list[str]) -> str:
    """The type that rules give to a prompt's words: its leading verb, then the words that hint at one."""
    head = [w for w in words[:4] if w in _LEAD_TYPE]
    text = " ".join(words[:40])
    hinted = [kind for kind, pattern in _HINTS.items() if re.search(pattern, text)]
    for kind in ("docs", "test"):
        if kind in hinted[:2] and (len(words) < 14 or kind in [_LEAD_TYPE.get(w) for w in words[:3]]):
            return kind
    if "chore" in hinted and len(words) < 14 and not (head and _LEAD_TYPE[head[0]] == "fix"):
        return "chore"
    if head:
        return _LEAD_TYPE[head[0]]
    return hinted[0] if hinted else "feat"


def _sentence(text: str) -> str:
    sentences = [s.strip() for s in re.split(r"[.|?]", text) if len(s.split()) > 1]
    if not sentences:
        return text

    def weight(pair: tuple[int, str]) -> float:
        i, sentence = pair
        return len(_ASK.findall(sentence)) - i * 0.4 - (len(sentence.split()) < 3)

    return max(enumerate(sentences), key=weight)[1]


def content(prompt: Prompt, limit: int = 4) -> list[str]:
    """The first words that tell something, in their plain forms; none where the prompt is nothing but filler."""
    words = prompt.words
    text = prompt.text if len(words) <= TITLE else _sentence(prompt.text)
    chosen = [w for w in text.split(" ") if w.isalnum()]
    if len(words) > 3 and ":" in text.split(" ")[1:4]:
        tail = text.split(" : ", 1)[-1].split(" ")
        if sum(w.isalnum() and w not in FILLER for w in tail) >= 3:
            chosen = [w for w in tail if w.isalnum()]
    body: list[str] = []
    rows = runs(prompt.text)
    for word in chosen:
        word = SHORT.get(word, plain(word))
        again, barred = taken(body, rows)
        if word in FILLER or word in _SAID or (word.isdigit() and not body):
            continue
        if word in barred or (word in body and word not in again):
            continue
        body.append(word)
        if len(body) == limit:
            return body
    body = body or [w for w in dict.fromkeys(plain(w) for w in words) if w not in FILLER][:2]
    return [] if all(is_number(word) for word in body) else body


def extract(prompt: Prompt, limit: int = 4) -> str | None:
    """A name from the prompt's own words by rules alone, or None where nothing but filler is left."""
    kind = kind_of(prompt.words)
    body = [w for w in content(prompt, limit + 1) if w != kind][:limit]
    return fit("-".join([kind, *body])) if body else None


def allowed(prompt: Prompt, words: Words) -> tuple[list[str], list[str]]:
    """The words that a name for this prompt may be made of: those grounded in the prompt, and the free ones."""
    said = dict.fromkeys(prompt.words)
    grounded: dict[str, None] = {}
    stems: dict[str, None] = {}
    foreign = said.keys() & FOREIGN
    # An English sentence has a few of them by chance ("in", "is", "me"), seldom a third.
    small = foreign if len(foreign) * 3 >= len(said) and not said.keys() & {"the", "a", "to"} else ()
    # In a short prompt a version is the task; in a long one it seldom belongs in the name, and then not one that makes
    # the name say a number twice.
    numbers = len(prompt.words) <= TITLE or not any(len(set(row)) < len(row) for row in runs(prompt.text))
    for word in said:
        if len(word) <= 24 and word not in small and (numbers or not is_number(word)):
            grounded.update(dict.fromkeys(forms(word)))
            stems[stem(word)] = None
    for key in stems:
        grounded.update(dict.fromkeys(words.kin.get(key, ())))
    return list(grounded), [w for w in words.free if w not in grounded]


def telling(prompt: Prompt) -> int:
    """How many different words of the prompt tell something."""
    return len({stem(w) for w in prompt.words if w not in FILLER and w not in _SAID and not is_number(w)})


def gate(name: str, prompt: Prompt) -> bool:
    """Whether a name may leave the house: its form, no word twice but in a version, two words where the prompt has two
    that matter."""
    if not NAME.fullmatch(name) or len(name) > MAX_NAME:
        return False
    kind, *body = name.split("-")
    if kind in body or repeats(body, runs(prompt.text)) or all(w in FILLER for w in body):
        return False
    return len(body) >= min(2, telling(prompt))


def fit(name: str, limit: int = MAX_NAME) -> str:
    """The name cut at a word boundary to `limit` characters; a single word longer than that is cut inside."""
    while len(name) > limit and name.count("-") > 1:
        name = name.rsplit("-", 1)[0]
    return name[:limit].rstrip("-")
