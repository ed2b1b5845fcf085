"""The training loop of every torch stage: a budget in epochs or minutes, rates that follow it, checkpoints."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import torch
from torch import Tensor, nn
from tqdm import tqdm

from training.stage import whole

if TYPE_CHECKING:
    from accelerate import Accelerator

T = TypeVar("T")


@dataclass(frozen=True)
class Plan:
    """How long to train, by `minutes` where they are given, else by `epochs`, and the rates' shape over that time."""

    epochs: float = 15.0
    minutes: float | None = None
    warmup: float = 0.03  # share of the budget over which rates rise
    cooldown: float = 0.6  # share over which they fall to the floor
    floor: float = 0.002  # of the peak
    seed: int = 1
    save_minutes: float = 5.0

    def rate(self, share: float) -> float:
        """The share of the peak rate once `share` of the budget is used: a trapezoid."""
        up = share / self.warmup if share < self.warmup else 1.0
        return max(self.floor, min(up, (1 - share) / self.cooldown if self.cooldown else 1.0))


@dataclass
class Progress:
    """How far a run has come: steps, whole epochs, batches into the next, seconds and padded tokens of this process."""

    step: int = 0
    epoch: int = 0
    at: int = 0
    spent: float = 0.0
    tokens: int = 0
    loss: float = math.nan

    def share(self, plan: Plan, batches: int) -> float:
        """The share of the budget that is used, where an epoch has so many batches."""
        if plan.minutes is not None:
            return self.spent / (plan.minutes * 60)
        return (self.epoch + self.at / batches) / plan.epochs


class Average:
    """A running mean of a module's weights that forgets by `keep` a step, and sooner while there are few."""

    def __init__(self, module: nn.Module, keep: float) -> None:
        self.keep = keep
        self.live = {name: p for name, p in module.named_parameters() if p.requires_grad}
        self.mean = {name: p.detach().clone() for name, p in self.live.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take the weights after `step` steps into the mean."""
        share = 1 - min(self.keep, step / (step + 10))
        for mean, p in zip(self.mean.values(), self.live.values()):
            mean.lerp_(p, share)

    def restart(self) -> None:
        """Forget what was, and begin with the weights as they are."""
        for name, p in self.live.items():
            self.mean[name].copy_(p.detach())

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within the block the module has the mean for its weights."""
        for name, p in self.live.items():
            self.mean[name], p.data = p.data, self.mean[name]
        try:
            yield
        finally:
            for name, p in self.live.items():
                self.mean[name], p.data = p.data, self.mean[name]


class Checkpoint:
    """The state of a run in one file. `run` says of what run: rows, options, sizes."""

    def __init__(self, path: Path, run: str, fresh: bool = False) -> None:
        self.path = path
        self.run = run
        self.fresh = fresh

    def read(self) -> dict[str, Any] | None:
        """What was saved, or None. Raises ClickException where it is of another run, which this one would overwrite."""
        if self.fresh or not self.path.exists():
            return None
        kept: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
        if kept["run"] != self.run:
            raise click.ClickException(
                f"{self.path} is of a run with other rows or options; --fresh starts anew, another --out keeps both"
            )
        return kept

    def write(self, state: dict[str, Any]) -> None:
        """Keep the state in place of an earlier one; the file is whole at any time."""
        with whole(self.path) as temp:
            torch.save({"run": self.run, **state}, temp)

    def remove(self) -> None:
        """Forget the run, once it has ended well."""
        self.path.unlink(missing_ok=True)


def launched(cpu: bool, idle: bool = False) -> Accelerator:
    """This process among those that `accelerate launch` started, alone as well; the stages cast to bf16 themselves.
    `idle`: some weights get no gradient at times, for which several processes have to look."""
    from accelerate import Accelerator, DistributedDataParallelKwargs

    how = DistributedDataParallelKwargs(find_unused_parameters=idle)
    return Accelerator(cpu=cpu, mixed_precision="no", kwargs_handlers=[how])


def share_out(batches: Sequence[T], rank: int, world: int) -> Sequence[T]:
    """Every `world`-th batch; the first come again where they do not come out even, so that all have as many."""
    if world == 1 or not batches:
        return batches
    return [batches[i % len(batches)] for i in range(rank, -(-len(batches) // world) * world, world)]


def fit(
    module: nn.Module, learner: nn.Module, optimizers: Sequence[torch.optim.Optimizer],
    batches: Callable[[int], Sequence[T]], tensors: Callable[[T], tuple[Tensor, ...]], plan: Plan,
    accelerator: Accelerator, average: Average | None = None, checkpoint: Checkpoint | None = None,
    noted: Callable[[], str] = str, shared: Callable[[float], None] = lambda share: None,
) -> Progress:  # fmt: skip
    """Train until the budget is used and return how far that was.

    `module(*tensors(batch))` is the loss; `learner` is the part of it that learns; `batches(epoch)` has to give the
    same for the same epoch. Peak rates are those that the optimizers come with. `noted` adds to the line that each
    checkpoint prints; `shared` hears before each step what share of the budget is used. Raises ClickException where
    there are no batches or the loss is no number.
    """
    progress = Progress()
    rank, world, device = accelerator.process_index, accelerator.num_processes, accelerator.device
    groups = [group for opt in optimizers for group in opt.param_groups]
    for group in groups:
        group["peak"] = group["lr"]
    if checkpoint and (kept := checkpoint.read()):
        progress = Progress(**kept["progress"])
        learner.load_state_dict(kept["weights"])
        for opt, state in zip(optimizers, kept["optimizers"]):
            opt.load_state_dict(state)
        if average:
            average.mean = {name: mean.to(device) for name, mean in kept["average"].items()}
        groups = [group for opt in optimizers for group in opt.param_groups]
    running = torch.tensor(progress.loss, device=device)
    wrapped = accelerator.prepare_model(module)
    saved = progress.spent

    def save() -> None:
        progress.loss = running.item()
        if not math.isfinite(progress.loss):
            raise click.ClickException(f"the loss is {progress.loss} at step {progress.step}; lower the rates")
        if not (checkpoint and accelerator.is_main_process):
            return
        checkpoint.write({
            "progress": asdict(progress), "weights": learner.state_dict(),
            "optimizers": [opt.state_dict() for opt in optimizers], "average": average.mean if average else {},
        })  # fmt: skip
        speed = progress.tokens / max(progress.spent, 1e-9)
        tqdm.write(
            f"{progress.spent / 60:6.1f} min  step {progress.step}  epoch {progress.epoch}  loss {progress.loss:.4f}  "
            f"{speed:,.0f} tokens/s{noted()}", file=sys.stderr,
        )  # fmt: skip

    shown = tqdm(total=100, unit="%", disable=None if accelerator.is_main_process else True, leave=False)
    share = 0.0
    while share < 1:
        todo = share_out(batches(progress.epoch), rank, world)
        if not todo:
            raise click.ClickException("no row fits the model's context; give shorter rows or a larger --context")
        share = progress.share(plan, len(todo))
        shared(share)
        for batch in todo[progress.at :]:
            if share >= 1:
                break
            began = time.monotonic()
            for group in groups:
                group["lr"] = group["peak"] * plan.rate(share)
            shared(share)
            # Dropout by the step's own seed: a run that was cut off goes on with the same, on any device.
            torch.manual_seed((plan.seed * 1_000_003 + progress.step) * world + rank)
            given = tuple(t.to(device, non_blocking=True) for t in tensors(batch))
            loss = wrapped(*given)
            accelerator.backward(loss)
            accelerator.clip_grad_norm_(learner.parameters(), 1.0)
            for opt in optimizers:
                opt.step()
                opt.zero_grad(set_to_none=True)
            progress.step += 1
            progress.at += 1
            progress.tokens += given[0].numel()
            newest = max(0.02, 1 / progress.step)
            running = loss.detach() if progress.step == 1 else running.lerp(loss.detach(), newest)
            if average:
                average.update(progress.step)
            # A step stopped by the user or a busy machine does not use up the budget.
            progress.spent += min(time.monotonic() - began, 10.0)
            if world > 1 and plan.minutes is not None:
                progress.spent = agreed(progress.spent, accelerator)
            share = progress.share(plan, len(todo))
            shown.update(min(100.0, round(100 * share, 1)) - shown.n)
            if progress.spent - saved >= plan.save_minutes * 60:
                saved = progress.spent
                save()
        if progress.at >= len(todo):
            progress.epoch, progress.at = progress.epoch + 1, 0
    shown.close()
    if saved < progress.spent or not progress.step:
        save()
    if world > 1:
        in_step(learner, accelerator)
    return progress


def in_step(learner: nn.Module, accelerator: Accelerator) -> None:
    """Raise RuntimeError where the processes did not end with the same weights."""
    total = sum(p.detach().double().abs().sum() for p in learner.parameters())
    every = accelerator.gather(torch.as_tensor(total, device=accelerator.device).reshape(1))
    if not torch.allclose(every, every[0]):
        raise RuntimeError(f"the processes ended with different weights: {every.tolist()}")


def agreed(number: float, accelerator: Accelerator) -> float:
    """The first process's number, in every process."""
    from accelerate.utils import broadcast

    return float(broadcast(torch.tensor(number, dtype=torch.float64, device=accelerator.device)).item())
