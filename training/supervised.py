"""Supervised fine-tuning with TRL: loss on the name alone, a budget of time, checkpoints that outlive a kill."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, disable_progress_bars
from tokenizers import Tokenizer
from tqdm import tqdm
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerFast,
    PrinterCallback,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from trl import SFTConfig, SFTTrainer

from training.causal import continued
from training.corpus import Example, Packed, encode
from wtname import naming
from wtname.search import MOST_TOKENS

WHOLE = "whole.json"


@dataclass(frozen=True)
class Plan:
    """How long and how fast to train: passes over the rows, or fewer where steps or minutes run out first."""

    epochs: float = 5.0
    max_steps: int = 0
    minutes: float = 0.0
    batch: int = 16
    lr: float = 2e-4
    warmup: float = 0.05
    seed: int = 1
    bf16: bool = False
    save_minutes: float = 5.0


def examples_of(packed: Packed) -> Iterable[dict[str, list[int]]]:
    """Ids of each row and which of them are the name's; a prompt is cut where the engine cuts it."""
    for i, length in enumerate(packed.prompt):
        ids = packed.ids[packed.start[i] : packed.start[i + 1]].tolist()
        prompt, name = ids[:length], ids[length:]
        if length > MOST_TOKENS:
            prompt = [*prompt[: MOST_TOKENS - 1], prompt[-1]]
        yield {"input_ids": prompt + name, "completion_mask": [0] * len(prompt) + [1] * len(name)}


def dataset(tokenizer: Tokenizer, rows: list[Example]) -> Dataset:
    """The rows as TRL takes them, tokenised as the engine does: prompt and name apart, nothing added."""
    return Dataset.from_list(list(examples_of(encode(tokenizer, rows))))


class Clock(TrainerCallback):
    """Counts the time spent, over interruptions too; shows it; saves now and then; stops when it is used up."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.spent = 0.0
        self.began = self.saved = time.monotonic()
        self.bar: tqdm[None] | None = None

    def share(self, done: float) -> float:
        """How much of the training is over, from 0 to 1, where `done` of its steps are."""
        budget = self.plan.minutes * 60
        return min(1.0, max(done, self.spent / budget if budget else 0.0))

    def rate(self, done: float) -> float:
        """The learning rate as a share of its peak: up over the warm-up, then down to nothing."""
        share, warmup = self.share(done), self.plan.warmup
        return (share + 1e-3) / (warmup + 1e-3) if share < warmup else (1 - share) / (1 - warmup)

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.saved = time.monotonic()
        self.bar = tqdm(desc="steps", total=state.max_steps, initial=state.global_step, disable=None, leave=False)

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.began = time.monotonic()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        now = time.monotonic()
        # A step that was stopped or starved does not use up the budget.
        self.spent += min(now - self.began, 60.0)
        if self.bar is not None:
            self.bar.update()
        over = self.share(state.global_step / state.max_steps) >= 1
        control.should_training_stop = control.should_training_stop or over
        control.should_save = over or now - self.saved >= self.plan.save_minutes * 60

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: dict[str, Any], **_: Any
    ) -> None:
        if self.bar is not None and "loss" in logs:
            self.bar.set_postfix(loss=f"{float(logs['loss']):.3f}")

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.saved = time.monotonic()
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if state.is_world_process_zero:
            (folder / WHOLE).write_text(json.dumps({"spent": self.spent}))

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self.bar is not None:
            self.bar.close()


class Supervised(SFTTrainer):
    """SFTTrainer whose learning rate follows the clock, be it steps or minutes that run out first."""

    def __init__(self, *args: Any, clock: Clock, **kwargs: Any) -> None:
        self.clock = clock
        super().__init__(*args, **kwargs)

    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> torch.optim.lr_scheduler.LRScheduler:
        if self.lr_scheduler is None:
            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(
                optimizer or self.optimizer, lambda step: self.clock.rate(step / num_training_steps)
            )
        return self.lr_scheduler


def last_whole(folder: Path) -> Path | None:
    """The newest checkpoint that was written to its end."""
    whole = [path.parent for path in folder.glob(f"checkpoint-*/{WHOLE}")]
    return max(whole, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def config_of(plan: Plan, work: Path) -> SFTConfig:
    """TRL's configuration: no reports, no bars, no checkpoints but the clock's."""
    known = {field.name for field in fields(SFTConfig)}
    # Two options that transformers 5 renamed: no trading of time for memory, and rows of like length together.
    remember = "activation_checkpointing" if "activation_checkpointing" in known else "gradient_checkpointing"
    renamed: dict[str, Any] = {remember: False, "train_sampling_strategy": "group_by_length"}
    if "train_sampling_strategy" not in known:
        renamed = {remember: False, "group_by_length": True}
    cuda = torch.cuda.is_available()
    return SFTConfig(
        output_dir=str(work), num_train_epochs=plan.epochs, max_steps=plan.max_steps or -1,
        per_device_train_batch_size=plan.batch, per_device_eval_batch_size=plan.batch, learning_rate=plan.lr,
        weight_decay=0.0, seed=plan.seed, data_seed=plan.seed, bf16=plan.bf16, use_cpu=not cuda,
        dataloader_pin_memory=cuda, save_strategy="no", save_total_limit=2,
        logging_steps=10, report_to="none", disable_tqdm=True, packing=False, completion_only_loss=True,
        max_length=None, **renamed,
    )  # fmt: skip


def fit(
    model: PreTrainedModel,
    tokenizer: Tokenizer,
    train: list[Example],
    val: list[Example],
    plan: Plan,
    work: Path,
    lora: Any = None,
) -> tuple[PreTrainedModel, dict[str, Any]]:
    """Train, from the newest whole checkpoint in `work` where there is one; the model, LoRA merged, and its figures."""
    disable_progress_bars()
    clock = Clock(plan)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=naming.END, pad_token=naming.END)
    trainer = Supervised(
        clock=clock, model=model, args=config_of(plan, work), train_dataset=dataset(tokenizer, train),
        eval_dataset=dataset(tokenizer, val) if val else None, processing_class=fast, peft_config=lora,
        callbacks=[clock],
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)  # it prints to stdout, which is the figures' alone
    head = trainer.model.get_output_embeddings()
    if lora is not None and not hasattr(head, "bias"):
        head.bias = None  # TRL reads the head's bias, and PEFT's wrapper of a tied head has none to show
    checkpoint = last_whole(work)
    if checkpoint:
        clock.spent = float(json.loads((checkpoint / WHOLE).read_text())["spent"])
        print(f"going on from {checkpoint}", file=sys.stderr)
    result = trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    figures = {"steps": trainer.state.global_step, "minutes": round(clock.spent / 60, 2)}
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    figures["loss"] = round(losses[-1] if losses else result.training_loss, 4)
    if val:
        figures["val_loss"] = round(trainer.evaluate()["eval_loss"], 4)
    trained = trainer.accelerator.unwrap_model(trainer.model)
    if lora is not None:
        trained = trained.merge_and_unload()
    trained.tie_weights()
    return trained, figures


def names(model: PreTrainedModel, tokenizer: Tokenizer, texts: list[str]) -> list[str]:
    """What the model writes after each cleaned prompt, greedily, with nothing ruled out; "" where it finds no end."""
    out = [""] * len(texts)
    for i, (name,) in continued(model.eval(), tokenizer, texts):
        out[i] = "-".join((name or "").split())
    return out
