"""Train the student from its teacher, or on named prompts alone; the loss is on the name.

    python -m training.distill --teacher models/teacher-merged --train data/train.jsonl --val data/val.jsonl \\
        --out models/student
    python -m training.distill --tokenizer models/tokenizer --out models/student --minutes 60 \\
        --mix data/train/taught.jsonl:1 --mix data/train/gold_titles.jsonl:2
    accelerate launch -m training.distill ...

A run that was cut off goes on from its folder in OUT.checkpoints/, which holds the model as it was then too.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import numpy as np
import torch
from click.core import ParameterSource
from tokenizers import Tokenizer
from torch import Tensor

from training.batches import Mix
from training.checkpoints import folder_of, forget, recipe
from training.copy_model import load_teacher
from training.corpus import Example, Packed, encode
from training.grid import OnGrid, snapped
from training.inherit import inherit
from training.labels import Namer, fill, in_parts, names_in
from training.llama_folder import has_encoder, tokenizer_at
from training.loop import Average, Checkpoint, Plan, fit, launched
from training.model import EncoderDecoder, Shape, Student, load, save
from training.noise import Noise
from training.objective import Objective, exact_match, optimizers, validation_loss
from training.rows import examples, mixed, packed, texts_in
from training.stage import report, stage_command, writable
from training.states import states_of
from wtname import naming
from wtname.engine.pointer import MOST

# With neither --train nor --mix: what the stages before this one leave behind.
CHAIN = {"teacher": Path("models/teacher-merged"), "train": (Path("data/train.jsonl"),), "val": Path("data/val.jsonl")}


def tokenizer_from(given: Path | None, folders: list[Path | None]) -> tuple[Path, Tokenizer]:
    """The tokenizer that is given, or that of the first folder which has one, or models/tokenizer."""
    tried = [given] if given else [*filter(None, folders), Path("models/tokenizer")]
    tried = [path / "tokenizer.json" if path.is_dir() else path for path in tried]
    path = next((path for path in tried if path.exists()), None)
    if path is None:
        raise click.UsageError(f"no tokenizer at {' or '.join(map(str, tried))}; give --tokenizer")
    tokenizer: Tokenizer = tokenizer_at(path)
    if lacking := [m for m in (naming.USER, naming.ASSISTANT, naming.END) if tokenizer.token_to_id(m) is None]:
        raise click.ClickException(f"{path} has no token {lacking[0]!r}; make one with training.train_tokenizer")
    return path, tokenizer


def check_teacher(folder: Path, teacher: Student, tokenizer: Tokenizer) -> None:
    """Raise a UsageError where the teacher's tokens are not the student's: their distributions cannot be compared."""
    path = folder / "tokenizer.json"
    same = not path.exists() or Tokenizer.from_file(str(path)).get_vocab() == tokenizer.get_vocab()
    if not same or teacher.shape.tokens < tokenizer.get_vocab_size():
        raise click.UsageError(
            f"{folder} and the student have different tokens; use --labels teacher --alpha 0, or a teacher of the same "
            "tokenizer"
        )


def student_from(
    init: Path | None, embeddings: Path | None, shape: Shape, dropout: float, prefix: bool | None,
    encoder: Path | None, tokenizer: Tokenizer,
) -> Student:  # fmt: skip
    """The student to train: new in this shape, with a teacher's encoder or without, or `init`, whose vocabulary has to
    be the same."""
    if init:
        model = load(init, dropout)
        if model.shape.tokens != shape.tokens:
            raise click.UsageError(
                f"{init} has a vocabulary of {model.shape.tokens}, the tokenizer one of {shape.tokens}; give them alike"
            )
        model.shape = replace(model.shape, prefix=model.shape.prefix if prefix is None else prefix)
        return model
    if shape.hidden % (2 * shape.heads):
        raise click.UsageError(f"--student-hidden {shape.hidden} is no even multiple of --student-heads {shape.heads}")
    if encoder:
        # The states are there before the name: the decoder may see all of them.
        return inherit(*load_teacher(encoder), tokenizer, replace(shape, prefix=prefix is not False), dropout)
    model = Student(replace(shape, prefix=bool(prefix)), dropout)
    if embeddings:
        vectors = np.load(embeddings)
        if vectors.shape != (shape.tokens, shape.hidden):
            raise click.UsageError(f"{embeddings} is {vectors.shape}, the embedding {(shape.tokens, shape.hidden)}")
        with torch.no_grad():
            model.embed_tokens.weight[: shape.tokens] = torch.from_numpy(vectors)
    return model


def taught(
    own: list[Example], unlabelled: list[str], namer: Namer, folder: Path, least_sure: float, accelerator: Any
) -> list[Example]:
    """The teacher's names, where it is sure and they are grounded, for the rows and for what has no name.

    They are kept in `folder`, in parts, so that no run makes them twice; several processes share the parts out.
    """
    from training.likeness import WORDS
    from training.teach import usable
    from wtname.words import read_words

    words = read_words(WORDS.read_text(encoding="utf-8"))
    asked = [*dict.fromkeys([*(row.text for row in own), *unlabelled])]
    parts = in_parts(asked, folder, namer.key)
    fill(parts[accelerator.process_index :: accelerator.num_processes], namer)
    accelerator.wait_for_everyone()
    named = zip(asked, names_in(parts))
    return [
        Example(text, n.name) for text, n in named if usable({"name": n.name, "sure": n.sure}, text, words, least_sure)
    ]


# What may change from one start of a run to the next, or shows in the rows.
INDIFFERENT = {
    "save_minutes", "fresh", "cpu", "val", "least_exact", "out", "train", "mix", "replay", "unlabelled", "tokenizer",
}  # fmt: skip


def recipe_of(options: dict[str, Any], parts: list[tuple[Packed, float]]) -> str:
    """What tells this run from another: its options, its rows, and what is in the models it begins with."""
    told = {name: value for name, value in options.items() if name not in INDIFFERENT}
    rows = (part.ids.tobytes() + part.start.tobytes() + part.prompt.tobytes() for part, _ in parts)
    return recipe({**told, "weights": [weight for _, weight in parts]}, rows)


@stage_command()
@click.option("--teacher", type=click.Path(path_type=Path, exists=True), help="A trained model's folder.")
@click.option("--train", multiple=True, type=click.Path(path_type=Path, exists=True),
              help="Rows of {prompt, name}; repeatable. With neither --train nor --mix: the chain's own folders, "
                   "models/teacher-merged, data/train.jsonl and data/val.jsonl.")  # fmt: skip
@click.option("--mix", multiple=True, metavar="FILE:WEIGHT", help="Rows of {text, name}, clean already; repeatable.")
@click.option("--noise", default=0.0, help="Share of the rows that come with politeness, a slip, or "
              "without a word or two, drawn anew each time.")  # fmt: skip
@click.option("--replay", type=click.Path(path_type=Path, exists=True),
              help="Rows of what --init can do already, lest it forget: as many as there are others.")  # fmt: skip
@click.option("--val", type=click.Path(path_type=Path, exists=True), help="Rows to measure on, never trained on.")
@click.option("--labels", type=click.Choice(["data", "teacher", "both"]), default="data", help="Whose names to learn.")
@click.option("--unlabelled", multiple=True, type=click.Path(path_type=Path, exists=True),
              help="Rows of {prompt}, {text} or {subject, body} for the teacher to name; repeatable.")  # fmt: skip
@click.option("--least-sure", default=-0.6, help="Mean log-probability below which a teacher's name is dropped.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False, writable=True), default=Path("models/student"))
@click.option("--tokenizer", type=click.Path(path_type=Path, exists=True),
              help="A tokenizer.json or its folder.  [default: that of --teacher or --init, "
                   "else models/tokenizer]")  # fmt: skip
@click.option("--init", type=click.Path(path_type=Path, exists=True), help="Start from this model, in its shape.")
@click.option("--embeddings", type=click.Path(path_type=Path, exists=True), help="Start from these vectors (.npy).")
@click.option("--student-layers", "layers", default=4, help="6 where 4 do not learn enough.")
@click.option("--student-hidden", "hidden", default=256)
@click.option("--student-heads", "heads", default=4)
@click.option("--student-inner", "inner", default=1024)
@click.option("--context", default=256, help="Tokens of prompt and name; longer rows are left out.")
@click.option("--prefix/--causal", default=None, help="Whether the prompt's tokens see one another both ways.")
@click.option("--pointer", default=0, type=click.IntRange(0, MOST),
              help="Numbers in a key of the pointer by which a name copies words of the prompt; 0: none.")  # fmt: skip
@click.option("--alpha", default=0.7, help="Weight of the teacher's distribution; the label has the rest.")
@click.option("--temperature", default=2.0)
@click.option("--states", type=click.Path(path_type=Path, exists=True),
              help="A copying teacher's folder: learn its hidden states of the prompt's words too.")  # fmt: skip
@click.option("--states-weight", default=1.0, help="Weight of the error in those, next to the loss on the name.")
@click.option(
    "--states-share", default=0.0, help="Share of the budget over which that weight falls to nothing; 0: none."
)
@click.option("--encoder", type=click.Path(path_type=Path, exists=True),
              help="A copying teacher's folder: its encoder reads the prompt, the student writes.")  # fmt: skip
@click.option("--encoder-lr", default=1.5e-4, help="Peak rate of the encoder, where there is one.")
@click.option(
    "--frozen-share", default=0.0, help="Share of the budget, at its start, in which the encoder does not learn."
)
@click.option(
    "--grid-share", default=0.0, help="Share of the budget, at its end, in which weights are held to Q4_0's grid."
)
@click.option("--epochs", default=15.0)
@click.option("--minutes", type=float, help="Training time in place of --epochs; pauses do not count.")
@click.option("--batch-tokens", default=4096, help="Padded tokens a step and process.")
@click.option("--lr", default=2e-3, help="Peak rate of the embedding; of all weights where --muon-lr is 0.")
@click.option("--muon-lr", default=4e-3, help="Peak rate of the matrices.")
@click.option("--decay", default=0.02)
@click.option("--dropout", default=0.0)
@click.option("--smooth", default=0.0, help="Label smoothing.")
@click.option(
    "--z-loss", default=0.0, help="Weight of the squared log-normaliser: 2e-4 keeps a pointer's scores small."
)
@click.option("--warmup", default=0.03, help="Share of the budget over which the rates rise.")
@click.option("--cooldown", default=0.6, help="Share over which they fall to nothing.")
@click.option("--ema", default=0.998, help="How slowly the average of the weights, which is kept, forgets.")
@click.option("--least-exact", default=0.0, help="Say what to try where exact match on --val is lower.")
@click.option("--save-minutes", default=5.0, help="Time between checkpoints.")
@click.option("--fresh", is_flag=True, help="Start anew where there is a checkpoint of this very run.")
@click.option("--seed", default=1)
@click.option("--cpu", is_flag=True, help="Stay on the CPU where a GPU is at hand.")
@click.pass_context
def main(command: click.Context, **options: Any) -> None:
    """Train the student and keep the running average of its weights in --out."""
    given = {name for name in options if command.get_parameter_source(name) == ParameterSource.COMMANDLINE}
    if not (options["train"] or options["mix"]):
        if options["replay"]:
            raise click.UsageError("--replay goes beside new rows: give --train or --mix a file that has some")
        options |= {name: path for name, path in CHAIN.items() if name not in given}
    o = SimpleNamespace(**options)
    check(o, given)
    accelerator = launched(o.cpu, idle=bool(o.encoder or (o.init and has_encoder(o.init))))
    torch.manual_seed(o.seed)
    tokenizer_path, tokenizer = tokenizer_from(o.tokenizer, [o.teacher, o.init])
    end = tokenizer.token_to_id(naming.END)
    rows = tokenizer.get_vocab_size() + 2 * o.pointer
    shape = Shape(rows, o.hidden, o.layers, o.heads, o.inner, o.context, pointer=o.pointer)
    student = student_from(o.init, o.embeddings, shape, o.dropout, o.prefix, o.encoder, tokenizer)
    teacher = load(o.teacher) if o.teacher and o.alpha else None
    if teacher:
        check_teacher(o.teacher, teacher, tokenizer)
    writable(o.out.parent)  # for the checkpoints and the teacher's names too
    parts, said = parts_of(o, tokenizer, accelerator)
    val = examples(o.val) if o.val else []
    if o.val and not val:
        raise click.ClickException(f"{o.val} has no rows; give a file of prompts and names, or leave --val out")

    objective = Objective(student, teacher, o.alpha, o.temperature, o.smooth, o.z_loss)
    states = states_of(objective, o.states, o.states_weight, tokenizer) if o.states and o.states_weight else None
    module = OnGrid(states or objective, student).to(accelerator.device).train()
    learning = optimizers(student, o.lr, o.muon_lr, o.decay, o.encoder_lr)
    if states:
        learning.append(states.optimizer())
    fits = min(m.shape.context for m in (student, teacher) if m)
    data = Mix(parts, o.batch_tokens, fits, o.seed, end, Noise(tokenizer, said, o.noise) if o.noise else None)
    plan = Plan(o.epochs, o.minutes, o.warmup, o.cooldown, seed=o.seed, save_minutes=o.save_minutes)
    average = Average(student, o.ema)
    run = recipe_of({**options, "processes": accelerator.num_processes}, parts)
    kept = folder_of(o.out) / run

    def shared(share: float) -> None:
        if states and o.states_share:
            states.weight = o.states_weight * max(0.0, 1 - share / o.states_share)
        if isinstance(student, EncoderDecoder):
            student.frozen = share < o.frozen_share
        on_grid = o.grid_share > 0 and share >= 1 - o.grid_share  # without it, not even once all is done
        if on_grid and module.active is False:  # None: a run that goes on has its average already
            average.restart()
        module.active = on_grid

    def weights() -> dict[str, Tensor]:
        return snapped(average.mean) if module.active else average.mean

    def keep() -> str:
        save(student, kept, weights(), tokenizer_path)
        with average.applied():
            return f"  val_loss {validation_loss(student, tokenizer, val, o.batch_tokens):.4f}" if val else ""

    progress = fit(
        module, states.learner() if states else student, learning, data.epoch, data.tensors, plan, accelerator,
        average, Checkpoint(kept / "state.pt", run, o.fresh), keep, shared,
    )  # fmt: skip
    if accelerator.is_main_process:
        save(student, o.out, weights(), tokenizer_path)
        figures = measured(load(o.out).to(accelerator.device), tokenizer, val, o.batch_tokens)
        if val and figures["exact"] < o.least_exact:
            more = f"--student-layers {student.shape.layers + 2}"
            print(f"exact match {figures['exact']:.1%} is under {o.least_exact:.1%}: try {more}", file=sys.stderr)
        rows = round(sum(len(part.prompt) * weight for part, weight in parts))
        report(
            "distill", steps=progress.step, tokens=progress.tokens, loss=round(progress.loss, 4), **figures,
            minutes=round(progress.spent / 60, 2), processes=accelerator.num_processes, rows=rows,
            too_long=data.too_long(), parameters=sum(p.numel() for p in student.parameters()), out=str(o.out),
            **({"states": str(o.states), "states_rows": states.share()} if states else {}),
        )  # fmt: skip
        forget(o.out)  # last: cut off before, the figures are not lost with hours of training
    accelerator.wait_for_everyone()
    accelerator.end_training()


def check(o: SimpleNamespace, given: set[str]) -> None:
    """Raise a UsageError where the options contradict one another."""
    if not o.teacher and (o.labels != "data" or o.unlabelled):
        raise click.UsageError("--labels teacher, --labels both and --unlabelled need a --teacher")
    if o.unlabelled and o.labels == "data":
        raise click.UsageError("--unlabelled needs --labels teacher or --labels both")
    if not o.teacher and o.alpha and "alpha" in given:
        raise click.UsageError("--alpha is the weight of a teacher: give --teacher, or leave --alpha out")
    if not o.states and "states_weight" in given:
        raise click.UsageError("--states-weight is the weight of a copying teacher's states: give --states")
    if o.replay and not o.init:
        raise click.UsageError("--replay is of what a model knows already: give --init")
    if o.states_weight < 0:
        raise click.UsageError("--states-weight is 0 or more")
    if not o.states and "states_share" in given:
        raise click.UsageError("--states-share is of a copying teacher's states: give --states")
    if not all(0 <= share <= 1 for share in (o.noise, o.states_share, o.frozen_share, o.grid_share)):
        raise click.UsageError("--noise, --states-share, --frozen-share and --grid-share are from 0 to 1")
    if o.encoder and o.embeddings:
        raise click.UsageError("--encoder brings its own vectors; leave out --embeddings")
    if o.init and (
        shaped := sorted(given & {"layers", "hidden", "heads", "inner", "context", "embeddings", "encoder", "pointer"})
    ):
        raise click.UsageError(f"--init brings its own shape and vectors; leave out what sets the {', '.join(shaped)}")
    for name in ("teacher", "train", "val"):
        paths = getattr(o, name) or ()
        for path in paths if isinstance(paths, tuple) else (paths,):
            if not path.exists():
                raise click.UsageError(f"{path} is not there; give --{name}, or --train or --mix to train without")
    if not 0 <= o.alpha <= 1 or o.temperature <= 0 or o.epochs <= 0 or (o.minutes is not None and o.minutes <= 0):
        raise click.UsageError("--alpha is from 0 to 1; --temperature, --epochs and --minutes are over 0")


def parts_of(
    o: SimpleNamespace, tokenizer: Tokenizer, accelerator: Any
) -> tuple[list[tuple[Packed, float]], list[list[Example]]]:
    """The rows to learn from with their weights: those given, those that the teacher names, or both. The same once more
    as text, which noise wants."""
    files = [*((path, 1.0) for path in o.train), *mixed(o.mix)]
    parts = [(packed(path, tokenizer), weight) for path, weight in files] if o.labels != "teacher" else []
    read = [examples(path) for path, _ in files] if o.noise or o.labels != "data" else []
    said = read if o.labels != "teacher" else []
    if o.labels != "data":
        own = [row for rows in read for row in rows]
        unlabelled = [text for path in o.unlabelled for _, text in texts_in(path) if text]
        namer = Namer(o.teacher, accelerator.device)
        rows = taught(own, unlabelled, namer, o.out.with_name(o.out.name + "-labels"), o.least_sure, accelerator)
        if o.labels == "both":
            known = set(own)
            rows = [row for row in rows if row not in known]
        if rows:
            parts.append((encode(tokenizer, rows), 1.0))
            said = [*said, rows]
    if not parts:
        raise click.ClickException("the teacher was sure of no name; lower --least-sure, or --labels both")
    if o.replay:
        replayed = packed(o.replay, tokenizer)
        new = sum(len(part.prompt) * weight for part, weight in parts)
        parts.append((replayed, new / len(replayed.prompt)))
        said = [*said, examples(o.replay)] if o.noise else said
    return parts, said


def measured(student: Student, tokenizer: Tokenizer, val: list[Example], tokens: int) -> dict[str, float | None]:
    """Loss and exact match on the validation rows, None where there are none."""
    if not val:
        return {"val_loss": None, "exact": None}
    loss = validation_loss(student, tokenizer, val, tokens)
    return {"val_loss": round(loss, 4), "exact": round(exact_match(student, tokenizer, val), 4)}


if __name__ == "__main__":
    main()
