"""What a student learns from: its teacher's distribution over the next token of a name, and the name's own tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor, nn

from training.batches import IGNORED, Mix
from training.corpus import Example, encode
from training.labels import names_of
from training.model import EncoderDecoder, Student
from wtname import naming


def distance(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """KL(teacher || student) of softened distributions, mean over rows, times T squared (Hinton et al. 2015).

    Both are logits (rows, vocabulary). T squared keeps the gradients' size whatever T is.
    """
    soft = F.log_softmax(student / temperature, -1), F.log_softmax(teacher / temperature, -1)
    return F.kl_div(*soft, log_target=True, reduction="batchmean") * temperature**2


def scores(model: Student, ids: Tensor, prompt: Tensor, where: Tensor) -> Tensor:
    """Scores (rows, vocabulary) of what follows each of the flat positions; see Mix.tensors for what is given."""
    hidden = model(ids, prompt)
    copies = model.copies(ids, prompt, hidden)
    return model.logits(hidden.flatten(0, 1)[where], copies.of(where // ids.shape[1]) if copies else None)


class Objective(nn.Module):
    """alpha * distance to the teacher + (1 - alpha) * cross-entropy with the name; the latter alone without teacher.

    The cross-entropy has `z` times the mean square of the log of the normaliser added (Chowdhery et al. 2022): a
    pointer's scores may else grow without end.
    """

    def __init__(
        self, student: Student, teacher: Student | None = None, alpha: float = 0.7, temperature: float = 2.0,
        smooth: float = 0.0, z: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.student = student
        self.teacher = teacher.eval().requires_grad_(False) if teacher else None
        self.alpha = alpha if teacher else 0.0
        self.temperature = temperature
        self.smooth = smooth
        self.z = z

    def forward(self, ids: Tensor, prompt: Tensor, where: Tensor, want: Tensor) -> Tensor:
        """The mean loss over the wanted tokens; see Mix.tensors for what is given."""
        with torch.autocast(ids.device.type, dtype=torch.bfloat16):
            logits = scores(self.student, ids, prompt, where).float()
        loss = F.cross_entropy(logits, want, label_smoothing=self.smooth, ignore_index=IGNORED)
        counts = want != IGNORED
        if self.z:
            loss = loss + self.z * logits[counts].logsumexp(-1).square().mean()
        if self.teacher is None or not self.alpha:
            return loss
        with torch.no_grad(), torch.autocast(ids.device.type, dtype=torch.bfloat16):
            taught = scores(self.teacher, ids, prompt, where)
        # A teacher's embedding may have rows to spare.
        taught = taught[counts, : logits.shape[1]].float()
        return self.alpha * distance(logits[counts], taught, self.temperature) + (1 - self.alpha) * loss


def optimizers(
    model: Student, lr: float, muon_lr: float, decay: float, encoder_lr: float = 0.0
) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers, AdamW for embedding and norms; AdamW for all where `muon_lr` is 0.

    An encoder has been trained before: AdamW at `encoder_lr` for its layers, four times that for its tokens' vectors,
    which are new.
    """
    groups: list[dict[str, Any]] = []
    own = [(name, p) for name, p in model.named_parameters() if not name.startswith("encoder.")]
    if isinstance(model, EncoderDecoder):
        words = model.encoder.words.weight
        groups.append({"params": [p for p in model.encoder.parameters() if p is not words], "lr": encoder_lr})
        groups.append({"params": [words], "lr": 4 * encoder_lr})
    matrices = [p for name, p in own if muon_lr and name.startswith("layers.") and p.dim() == 2]
    ids = {id(p) for p in matrices}
    groups.insert(0, {"params": [p for _, p in own if id(p) not in ids], "lr": lr})
    adam = torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.98), weight_decay=decay, fused=True)
    if not matrices:
        return [adam]
    muon = torch.optim.Muon(matrices, lr=muon_lr, weight_decay=decay, momentum=0.95, adjust_lr_fn="match_rms_adamw")
    return [muon, adam]


@torch.inference_mode()
def validation_loss(model: Student, tokenizer: Tokenizer, rows: list[Example], tokens: int) -> float:
    """Mean cross-entropy over the names' tokens, each token counted alike; NaN where no row fits the context."""
    device = model.embed_tokens.weight.device
    data = Mix([(encode(tokenizer, rows), 1.0)], tokens, model.shape.context, 0, tokenizer.token_to_id(naming.END))
    objective = Objective(model.eval())
    total, count = 0.0, 0
    for batch in data.epoch(0):
        given = [t.to(device) for t in data.tensors(batch)]
        wanted = int((given[3] != IGNORED).sum())
        total += objective(*given).item() * wanted
        count += wanted
    model.train()
    return total / count if count else math.nan


def exact_match(model: Student, tokenizer: Tokenizer, rows: Sequence[Example]) -> float:
    """The share of rows whose name the model writes greedily."""
    named = names_of(model.eval(), tokenizer, [row.text for row in rows])
    model.train()
    return sum(n.name == row.name for n, row in zip(named, rows)) / len(rows)
