"""Tasks made of templates: the name of each is right by construction."""

from __future__ import annotations

import random
import re
from typing import NamedTuple


class Row(NamedTuple):
    """A prompt and the name wanted for it."""

    prompt: str
    name: str


SLOTS: dict[str, tuple[str, ...]] = {
    "thing": (
        "billing page", "search index", "login form", "order history", "chat widget", "audit log", "upload queue",
        "report editor", "map view", "session store", "invoice importer", "backup job", "calendar sync",
        "photo gallery", "price calculator", "ticket board", "device registry", "mail parser", "playlist panel",
        "tariff table", "sensor gateway", "shift planner", "token cache", "address book",
    ),
    "fault": ("crash", "memory leak", "race condition", "timeout", "deadlock", "null pointer", "layout glitch"),
    "ability": (
        "csv export", "dark mode", "undo", "keyboard shortcuts", "bulk delete", "offline mode", "pagination",
        "autosave", "saved filters", "pdf preview",
    ),
    "piece": ("validation", "retry logic", "date handling", "access checks", "rounding"),
    "guide": ("tutorial", "troubleshooting guide", "quick start", "faq"),
    "how": ("integration", "snapshot", "property", "load"),
    "package": ("webpack", "pytest", "django", "numpy", "gradle", "terraform", "flask", "vite", "tokio"),
    "version": ("5", "8.2", "3.12", "0.9.1", "11"),
    "formatter": ("prettier", "black", "rustfmt", "gofmt"),
    "bits": ("buttons", "icons", "column headers", "labels"),
}  # fmt: skip
TEMPLATES: tuple[Row, ...] = (
    Row("Fix {fault} in the {thing}", "fix-{thing}-{fault}"),
    Row("there is a {fault} in the {thing}, can you look into it", "fix-{thing}-{fault}"),
    Row("The {thing} shows a {fault} since the last release.", "fix-{thing}-{fault}"),
    Row("Add {ability} to the {thing}", "feat-{thing}-{ability}"),
    Row("I'd like to have {ability} in the {thing}", "feat-{thing}-{ability}"),
    Row("the {thing} should support {ability}", "feat-{thing}-{ability}"),
    Row("Extract the {piece} from the {thing}", "refactor-extract-{thing}-{piece}"),
    Row("Split the {thing} into smaller modules, same behaviour", "refactor-split-{thing}"),
    Row("Remove dead code from the {thing}", "refactor-remove-{thing}-dead-code"),
    Row("Document the {thing}", "docs-{thing}"),
    Row("write a {guide} for the {thing}", "docs-{thing}-{guide}"),
    Row("Add tests for the {thing}", "test-{thing}"),
    Row("cover the {thing} with {how} tests", "test-{thing}-{how}"),
    Row("the tests of the {thing} are flaky", "test-flaky-{thing}"),
    Row("Bump {package} to {version}", "chore-bump-{package}-{version}"),
    Row("upgrade {package} to {version}, the old one gets no security patches", "chore-upgrade-{package}-{version}"),
    Row("Cache the {package} downloads in CI", "chore-ci-{package}-cache"),
    Row("Run {formatter} over the {thing}", "style-{formatter}-{thing}"),
    Row("Align the {bits} on the {thing}, purely visual", "style-align-{thing}-{bits}"),
    Row("fix the indentation in the {thing}", "style-{thing}-indentation"),
)


def fill(template: Row, slots: dict[str, str]) -> Row:
    """A template with its slots filled, in the name as words of a name."""
    said = {slot: re.sub(r"[ .]", "-", text) for slot, text in slots.items()}
    return Row(template.prompt.format(**slots), template.name.format(**said))


def from_template(rng: random.Random) -> Row:
    """A row of a template, both drawn."""
    return fill(rng.choice(TEMPLATES), {slot: rng.choice(choices) for slot, choices in SLOTS.items()})
