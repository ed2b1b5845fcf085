"""Train a namer from start to end: every stage in order, each a process of its own, going on where it stopped.

    python -m training.run --preset tiny
    python -m training.run --preset house --clones ~/src/shop --clones ~/src/api --work runs/shop

A stage runs again where its options, what it reads or what it wrote have changed.
"""

from __future__ import annotations

import itertools
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from training.presets import PRESETS, Job, Stage
from training.stage import report, stage_command, whole
from wtname import naming
from wtname.models import sha256

EXAMPLES = (
    "Fix crash on zero-width columns",
    "can u add a dark mode toggle to the settings page",
    "Bump webpack to 5.90.1",
)
ROOT = Path(__file__).parent.parent
Folder = click.Path(path_type=Path, file_okay=False)


def fingerprint(paths: Iterable[Path]) -> dict[str, str]:
    """The SHA-256 of each file by its path; a folder's files one by one."""
    out = {}
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                out[str(file)] = sha256(file)
    return out


class Stamps:
    """What each stage was last run with, and what it wrote then."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _asked(self, stage: Stage) -> dict[str, Any]:
        return {"args": [stage.module, *stage.args], "reads": fingerprint(stage.reads)}

    def kept(self, stage: Stage) -> dict[str, Any] | None:
        """The stamp of the stage's last run, where nothing has changed since; else None."""
        try:
            stamp: dict[str, Any] = json.loads((self.folder / f"{stage.name}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        same = stamp.get("asked") == self._asked(stage) and stamp.get("wrote") == fingerprint(stage.writes)
        return stamp if same and all(path.exists() for path in stage.writes) else None

    def keep(self, stage: Stage, seconds: float, figures: dict[str, Any]) -> None:
        """Note that the stage has run to its end."""
        stamp = {"asked": self._asked(stage), "wrote": fingerprint(stage.writes), "seconds": seconds}
        with whole(self.folder / f"{stage.name}.json") as temp:
            temp.write_text(json.dumps({**stamp, "figures": figures}, indent=1) + "\n", encoding="utf-8")


@contextmanager
def alone(work: Path) -> Iterator[list[int]]:
    """Hold the folder's lock; what a stage's process has to inherit to hold it too, should this one be killed.

    Raises ClickException where another run, or a stage that a killed run left behind, works in the folder.
    """
    work.mkdir(parents=True, exist_ok=True)
    with open(work / "lock", "a+b") as file:
        try:
            if os.name == "nt":
                import msvcrt

                file.seek(0)
                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise click.ClickException(
                f"another run works in {work}, or a stage that a killed run left; wait for it, or give another --work"
            ) from error
        yield [] if os.name == "nt" else [file.fileno()]


def command(stage: Stage) -> list[str]:
    """The stage's command line, less the options whose file is empty: a clone may hold no title to learn from.

    An empty file that no option comes before stays, and one that the stage needs: without it the stage could not say
    what it lacks.
    """
    spare = (path for path in stage.reads if path not in stage.needs)
    empty = {str(path) for path in spare if path.is_file() and not path.stat().st_size}
    args: list[str] = []
    for word in stage.args:
        if word in empty and args and args[-1].startswith("--"):
            args.pop()
        else:
            args.append(word)
    return [sys.executable, "-m", f"training.{stage.module}", *args]


def run(stage: Stage, lock: list[int], after: str | None = None) -> dict[str, Any]:
    """Run the stage; its output goes to stderr. Its figures. Raises ClickException where it fails.

    One that gave its figures first has written its files and finds them wanting: the chain may go on with the stage
    `after` it.
    """
    if missing := [path for path in stage.reads if not path.exists()]:
        raise click.ClickException(f"{stage.name} reads {missing[0]}, which is not there; go on from an earlier stage")
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    last = ""
    with subprocess.Popen(
        command(stage), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, encoding="utf-8", errors="replace",
        env={**os.environ, "PYTHONPATH": path}, pass_fds=lock,
    ) as process:  # fmt: skip
        assert process.stdout
        try:
            for line in process.stdout:
                sys.stderr.write(line)
                last = line
        except BaseException:
            process.terminate()
            raise
    try:
        figures = json.loads(last)
    except ValueError:
        figures = None
    figures = figures if isinstance(figures, dict) else {}
    if process.returncode:
        says = f"{stage.name} failed with code {process.returncode}; mend what it says, and the same command goes on"
        way_on = f", or go on with what it wrote: --from {after}" if figures and after else ""
        raise click.ClickException(says + way_on)
    return figures


def named(gguf: Path) -> dict[str, str | None]:
    """The example prompts as the model names them; None where it takes one for no task."""
    from wtname.engine import Engine

    engine = Engine(gguf)
    try:
        guesses = {prompt: engine.suggest(naming.clean(prompt)) for prompt in EXAMPLES}
    finally:
        engine.close()
    return {prompt: found[0].name if found else None for prompt, found in guesses.items()}


def part(stages: list[Stage], first: str | None, last: str | None) -> list[Stage]:
    """The stages from one to another. Raises UsageError where there is none of that name, or nothing between."""
    names = [stage.name for stage in stages]
    for name in filter(None, (first, last)):
        if name not in names:
            raise click.UsageError(f"no stage {name!r} in this run; its stages are {', '.join(names)}")
    chosen = stages[names.index(first) if first else 0 : names.index(last) + 1 if last else len(stages)]
    if not chosen:
        raise click.UsageError(f"{first} comes after {last}")
    return chosen


def check(data: Path, stages: list[Stage], clones: bool) -> None:
    """Raise ClickException where the user's own folder lacks rows that one of the stages cannot do without: an empty
    train.jsonl will do where there are clones to learn from, an empty test.jsonl where nothing is evaluated."""
    read = {path for stage in stages for path in stage.reads}
    scored = any(stage.module == "evaluate" for stage in stages)
    wrong = []
    for part, needed in (("train", not clones), ("val", False), ("test", scored)):
        path = data / f"{part}.jsonl"
        if path in read and not path.exists():
            wrong.append(f"{path.name} is missing")
        elif path in read and needed and path.is_file() and not path.stat().st_size:
            wrong.append(f"{path.name} is empty")
    if wrong:
        raise click.ClickException(f"--data {data}: {', '.join(wrong)}; write rows of {{prompt, name}} there")


@stage_command()
@click.option("--preset", type=click.Choice(list(PRESETS)), required=True,
              help="tiny: minutes, to see that it works; cpu: hours on two cores; gpu: the original's; house: minutes, "
                   "the packaged model with a team's own names.")  # fmt: skip
@click.option("--work", type=Folder, help="Where everything is written.  [default: runs/PRESET]")
@click.option("--data", type=click.Path(path_type=Path, exists=True, file_okay=False),
              help="A folder with your own train, val and test .jsonl; nothing is generated then.")  # fmt: skip
@click.option("--clones", multiple=True, type=click.Path(path_type=Path, exists=True, file_okay=False),
              help="A local repository to learn from too; repeatable.")  # fmt: skip
@click.option(
    "--base", default="", help="A model to fine-tune: a folder, a .gguf file, or one on the Hugging Face hub."
)
@click.option("--scorer", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="A scorer for the last stage, evaluate, in place of its own.")  # fmt: skip
@click.option("--api", is_flag=True, help="Let the API invent prompts too; see generate_data.")
@click.option("--from", "first", metavar="STAGE", help="Begin here, and run this stage in any case.")
@click.option("--until", "last", metavar="STAGE", help="End with this stage.")
@click.option("--dry-run", is_flag=True, help="Print the command lines.")
@click.option("--seed", default=1)
def main(
    *, preset: str, work: Path | None, data: Path | None, clones: tuple[Path, ...], base: str, scorer: Path | None,
    api: bool, first: str | None, last: str | None, dry_run: bool, seed: int,
) -> None:  # fmt: skip
    """Run the chain. Where it was stopped, or failed, the same command goes on."""
    if PRESETS[preset].tune:
        if base or api:
            raise click.UsageError(f"--preset {preset} trains the packaged model; leave out --base and --api")
        if not (clones or data):
            raise click.UsageError(f"--preset {preset} learns from your names: give --clones, or --data")
    work = work or Path("runs") / preset
    job = Job(PRESETS[preset], work, data, clones, base, scorer, api, seed)
    every = job.stages()
    stages = part(every, first, last)
    after = {stage.name: later.name for stage, later in itertools.pairwise(every)}
    if data:
        check(data, stages, bool(clones))
    if dry_run:
        for stage in stages:
            print(shlex.join(command(stage)))
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the stage ends with us
    stamps = Stamps(work / "stamps")
    done = []
    with alone(work) as lock:
        for at, stage in enumerate(stages, 1):
            stamp = None if stage.name == first else stamps.kept(stage)
            click.echo(f"[{at}/{len(stages)}] {stage.name}{': as it was' if stamp else ''}", err=True)
            if stamp:
                seconds = stamp["seconds"]
            else:
                began = time.monotonic()
                figures = run(stage, lock, after.get(stage.name))
                seconds = round(time.monotonic() - began, 1)
                stamps.keep(stage, seconds, figures)
            done.append({"stage": stage.name, "ran": not stamp, "seconds": seconds})
        gguf = job.gguf if job.gguf.exists() else None
        report("run", preset=preset, stages=done, gguf=gguf and str(gguf), names=named(gguf) if gguf else {})


if __name__ == "__main__":
    main()
