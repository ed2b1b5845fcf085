"""The copying teacher's hidden states as a second thing to learn: what it makes of each word of the prompt.

A layer of the student is drawn to them through a linear head (TinyBERT, Jiao et al. 2020). It works between different
tokenizers, as the two meet at the words: the student at a word's first token, the teacher in the mean of its pieces.
Where the student has an encoder, that one's output is drawn to them as it is, in the mean of the word's tokens.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor, nn

from training.batches import padded
from training.copy_model import CLS, MAX_SOURCE, SEP, CopyTeacher, load_teacher
from training.model import EncoderDecoder
from training.objective import Objective
from training.word_pieces import begins

RATE = 2e-3  # peak, for the head


class Words(NamedTuple):
    """Words of a batch: where each begins in the student's flat ids, which of those are whose, and which flat pieces of
    `source` are whose."""

    starts: Tensor
    tokens: Tensor
    holders: Tensor
    source: Tensor
    pieces: Tensor
    owners: Tensor
    rows: int


def means(states: Tensor, at: Tensor, owners: Tensor, count: int) -> Tensor:
    """The mean (count, hidden) of each owner's states, of which `at` are the rows."""
    total = states.new_zeros(count, states.shape[1]).index_add(0, owners, states[at])
    return total / torch.bincount(owners, minlength=count)[:, None]


class States(nn.Module):
    """An objective plus `weight` times the error in the teacher's states, over their variance."""

    def __init__(
        self, objective: Objective, tokenizer: Tokenizer, teacher: CopyTeacher, pieces: Tokenizer, weight: float = 1.0
    ) -> None:
        super().__init__()
        student = objective.student
        self.objective = objective
        self.teacher = teacher.eval().requires_grad_(False)
        self.direct = isinstance(student, EncoderDecoder)
        self.head = nn.Linear(student.shape.hidden, teacher.words.weight.shape[1])
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)
        self.tokenizer = tokenizer
        self.pieces = pieces
        self.weight = weight
        self.begins = np.zeros(student.shape.vocab, dtype=bool)
        self.begins[[tokenizer.token_to_id(token) for token, first in begins(tokenizer).items() if first]] = True
        self.rows = self.matched = 0
        self.seen: Tensor | None = None
        if isinstance(student, EncoderDecoder):
            student.encoder.register_forward_hook(self._see)
        else:
            student.layers[len(student.layers) * 2 // 3].register_forward_hook(self._see)

    def _see(self, layer: nn.Module, _: object, out: Tensor) -> None:
        # Not the layer's own word: a frozen encoder does not train, and is seen all the same.
        self.seen = out if self.objective.student.training else None

    def learner(self) -> nn.ModuleDict:
        """What learns, and what a checkpoint has to hold: the student and the head, which no encoder needs."""
        return nn.ModuleDict({"student": self.objective.student, "head": self.head})

    def optimizer(self) -> torch.optim.Optimizer:
        """For the head alone."""
        return torch.optim.AdamW(self.head.parameters(), lr=RATE)

    def share(self) -> float | None:
        """The share of the rows whose words could be told apart, of those this process has learnt from."""
        return round(self.matched / self.rows, 4) if self.rows else None

    def words(self, ids: Tensor, prompt: Tensor) -> Words | None:
        """The words of the rows' prompts; rows whose words the two tokenizers count differently are left out."""
        # Between the markers: the first and the last of a prompt's tokens (naming.render).
        told = [row[1 : end - 1] for row, end in zip(ids.cpu().numpy(), prompt.tolist())]
        texts = [text.removeprefix(" ").split(" ") for text in self.tokenizer.decode_batch([t.tolist() for t in told])]
        encoded = self.pieces.encode_batch(texts, is_pretokenized=True, add_special_tokens=False)
        source = padded([[CLS, *e.ids[:MAX_SOURCE], SEP] for e in encoded])
        parts: list[tuple[np.ndarray, ...]] = []
        count = rows = 0
        for i, (tokens, text, e) in enumerate(zip(told, texts, encoded)):
            at = np.flatnonzero(self.begins[tokens])
            if not len(at) == len(text) == len(set(e.word_ids)):
                continue
            rows += 1
            owner = np.array(e.word_ids[:MAX_SOURCE])
            # A word that is cut off has no mean.
            whole = len(text) if len(e.ids) <= MAX_SOURCE else int(owner[-1])
            kept = np.flatnonzero(owner < whole)
            holder = np.cumsum(self.begins[tokens]) - 1
            held = np.flatnonzero((holder >= 0) & (holder < whole))
            first = i * ids.shape[1] + 1
            parts.append((
                first + at[:whole], first + held, count + holder[held],
                i * source.shape[1] + 1 + kept, count + owner[kept],
            ))  # fmt: skip
            count += whole
        if count < 2:  # one word has no variance
            return None
        flat = [torch.from_numpy(np.concatenate(each)).to(ids.device) for each in zip(*parts)]
        return Words(*flat[:3], source.to(ids.device), *flat[3:], rows)

    @torch.no_grad()
    def wanted(self, words: Words) -> Tensor:
        """The teacher's state of each word (words, hidden): the mean over its pieces."""
        with torch.autocast(words.source.device.type, dtype=torch.bfloat16):
            states = self.teacher.encode(words.source)[0].float().flatten(0, 1)
        return means(states, words.pieces, words.owners, len(words.starts))

    def error(self, ids: Tensor, prompt: Tensor) -> Tensor:
        """Mean squared error over the variance of what is wanted, for what the student has just seen."""
        assert self.seen is not None
        # An encoder saw no more than the prompts.
        seen, self.seen = F.pad(self.seen, (0, 0, 0, ids.shape[1] - self.seen.shape[1])).flatten(0, 1), None
        words = self.words(ids, prompt)
        self.rows += len(ids)
        if words is None:
            # Other processes wait for the head's gradients.
            return 0.0 * (self.head.weight.sum() + self.head.bias.sum())
        self.matched += words.rows
        want = self.wanted(words)
        if self.direct:
            said = means(seen.float(), words.tokens, words.holders, len(words.starts))
            return F.mse_loss(said, want) / want.var(0).mean().clamp(min=1e-6)
        with torch.autocast(ids.device.type, dtype=torch.bfloat16):
            said = self.head(F.rms_norm(seen[words.starts].float(), seen.shape[-1:]))
        return F.mse_loss(said.float(), want) / want.var(0).mean().clamp(min=1e-6)

    def forward(self, ids: Tensor, prompt: Tensor, where: Tensor, want: Tensor) -> Tensor:
        """The objective's loss and the states' share; see Mix.tensors for what is given."""
        loss: Tensor = self.objective(ids, prompt, where, want)
        return loss + self.weight * self.error(ids, prompt) if self.weight else loss


def states_of(objective: Objective, folder: Path, weight: float, tokenizer: Tokenizer) -> States:
    """The objective with the states of the copying teacher in `folder`. Raises ClickException where it is none."""
    return States(objective, tokenizer, *load_teacher(folder), weight)
