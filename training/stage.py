"""What every stage does alike: a bar on a terminal, files that are whole or not there, a line that says what cannot be
read or written, one line of figures."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
from tqdm import tqdm

T = TypeVar("T")


class StageCommand(click.Command):
    """A command that says in one line which file it could not read or write."""

    def invoke(self, ctx: click.Context) -> Any:
        """What the command returns. Raises ClickException for an OSError about a file."""
        try:
            return super().invoke(ctx)
        except OSError as error:
            places = [p for p in (error.filename, error.filename2) if isinstance(p, (str, bytes, os.PathLike))]
            if not places:  # a connection, or a pipe that nobody reads
                raise
            raise click.ClickException(
                f"{' or '.join(map(click.format_filename, places))} cannot be read or written ({error.strerror}); "
                "mend that, or give another path"
            ) from error


def stage_command(
    name: str | None = None, group: click.Group | None = None
) -> Callable[[Callable[..., Any]], StageCommand]:
    """The decorator of a stage's main function, or of one of several in a group."""
    command = group.command if group else click.command
    return command(name, cls=StageCommand, context_settings={"show_default": True})


def writable(folder: Path) -> None:
    """Make a folder, and its parents, and see that files can be written to it: before long work, not after.

    Raises OSError where they cannot.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(folder)) from error


def bar(items: Iterable[T], what: str, total: int | None = None) -> Iterable[T]:
    """The items, counted by a bar on stderr where that is a terminal."""
    return tqdm(items, desc=what, total=total, disable=None, leave=False)


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`; it takes the name once the block ends well and is removed where it does not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temp = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temp
        os.replace(temp, path)
    finally:
        temp.unlink(missing_ok=True)


def report(stage: str, **figures: Any) -> None:
    """Print the stage's figures as one line of JSON, its last."""
    print(json.dumps({"stage": stage, **figures}, ensure_ascii=False), flush=True)
