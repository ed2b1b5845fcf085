"""What the tools of the MCP server answer: their output schemas."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, Field

from wtname.display import visible


def _sayable(text: object) -> object:
    """A path or a name as JSON can say it: bytes that are no text become \\xff."""
    if not isinstance(text, str):
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return visible(text)
    return text


Text = Annotated[str, BeforeValidator(_sayable)]
Source = Literal["model", "extract", "random", "user"]
_SOURCE = "model; extract: words picked from the prompt, as the model could not be had; random: no task in the prompt"


class Name(BaseModel):
    """A name for a task."""

    name: Text | None = Field(description="type and words, as fix-login-redirect; null where the prompt names no task")
    branch: Text = Field(description="the branch to make; free where a repository was given")
    type: Text | None = Field(description="feat, fix, refactor, docs, chore, test or style")
    ticket: Text | None = Field(description="ticket id found in the prompt")
    source: Source = Field(description=_SOURCE)
    confidence: float | None = Field(description="of the model, from 0 to 1")


class Names(BaseModel):
    """Names for a task, the best first."""

    names: list[Name]


class Command(BaseModel):
    """What became of a command for new worktrees."""

    command: Text
    code: int | None = Field(default=None, description="its exit code")
    pid: int | None = Field(default=None, description="of a command in the background")
    log: Text | None = Field(default=None, description="of a command in the background")
    skipped: Text | None = Field(default=None, description="why it did not run")


class Created(BaseModel):
    """A branch and a worktree that are made."""

    branch: Text
    path: Text = Field(description="the worktree's folder: work there")
    name: Text | None
    base: Text = Field(description="what it starts from")
    commit: str
    behind: int | None = Field(description="commits that the base lacks")
    ticket: Text | None
    source: Source = Field(description=f"of the name: {_SOURCE}; user: it was given")
    copied: int = Field(description="ignored files that came along, as .env")
    commands: list[Command]
    notes: list[Text] = Field(description="what to tell the user")


class Renamed(BaseModel):
    """A branch that has another name; its worktree's folder stays where it is."""

    branch: Text = Field(description="its name now")
    old: Text
    changed: bool = Field(description="false: it was called that already")
    path: Text = Field(description="the worktree's folder")
    source: Source = Field(description=f"of the name: {_SOURCE}; user: it was given")
    notes: list[Text] = Field(description="what to tell the user")


class Worktree(BaseModel):
    """A worktree and how it stands."""

    branch: Text | None
    path: Text
    task: Text = Field(description="what it is for: the prompt it was made from, or its last commit")
    main: bool
    current: bool = Field(description="the one that `repository` is")
    state: list[str] = Field(description="as 2 changed, merged, squashed, 1 unpushed, upstream gone, locked, missing")
    dirty: int | None = Field(description="changed files")
    ahead: int | None = Field(description="commits that base lacks")
    behind: int | None = Field(description="commits of base that it lacks")
    merged: str | None = Field(description="merged or squashed into base")
    commit: str | None
    time: str | None = Field(description="of its last commit")


class Worktrees(BaseModel):
    """All worktrees of a repository, the one with the latest commit first."""

    base: Text | None = Field(description="the branch that work is merged into")
    worktrees: list[Worktree]


class Removed(BaseModel):
    """What came of removing a worktree."""

    removed: bool
    branch: Text | None
    path: Text
    why: Text | None = Field(description="why it stays")
    branch_deleted: bool
    ignored_lost: int = Field(description="ignored files and folders that went for good")
    restore: Text | None = Field(description="the command that brings it back, with what was not committed")
    notes: list[Text] = Field(description="what to tell the user")
