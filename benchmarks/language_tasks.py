"""Trainings of byte-level language models: a transformer, and LoRA on a frozen one."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional
from training_task import Batch, TrainingTask

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[1]
BYTES = 256
CONTEXT = 48  # bytes
BATCH = 16  # sequences
PRETRAINING_STEPS = 400  # of the model that LoRA adapts
PRETRAINING_SEED = 1
INIT = 0.02 * 768**0.5  # as GPT-2, whose width is 768
RANK, ALPHA = 4, 8.0  # of LoRA


class Attention(nn.Module):
    """Causal self-attention with separate projections, as LoRA adapts them."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps features of shape (N, T, C) to features of shape (N, T, C)."""
        query, key, value = (
            part(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (N, H, T, C / H)
            for part in (self.query, self.key, self.value)
        )
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.out(mixed.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """A layer of a transformer, with the norms in front."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention_norm, self.attention = nn.LayerNorm(width), Attention(width, heads)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps features of shape (N, T, C) to features of shape (N, T, C)."""
        x = x + self.attention(self.attention_norm(x))
        return x + self.mlp(self.mlp_norm(x))


class LanguageModel(nn.Module):
    """A transformer that predicts the next byte."""

    def __init__(self, depth: int = 4, width: int = 48, heads: int = 4) -> None:
        super().__init__()
        self.embed = nn.Embedding(BYTES, width)
        self.positions = nn.Embedding(CONTEXT, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, BYTES, bias=False)
        for part in self.modules():
            if isinstance(part, nn.Linear | nn.Embedding):
                nn.init.normal_(part.weight, std=INIT * width**-0.5)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Maps bytes of shape (N, T) to logits of shape (N, T, 256)."""
        x = self.embed(tokens) + self.positions.weight[: tokens.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


class LowRankLinear(nn.Module):
    """A frozen linear layer plus a trained product of two thin matrices (Hu et al., 2021).

    The second matrix is 0 at first, so the first one has no gradient at the first step.
    """

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base = base
        self.lora_a = nn.Linear(base.in_features, RANK, bias=False)
        self.lora_b = nn.Linear(RANK, base.out_features, bias=False)
        nn.init.kaiming_uniform_(self.lora_a.weight, a=math.sqrt(5))
        nn.init.zeros_(self.lora_b.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps features of shape (..., C) to features of shape (..., D)."""
        return self.base(x) + ALPHA / RANK * self.lora_b(self.lora_a(x))


class LanguageTask(TrainingTask):
    """Predicts the next byte of texts; a subclass makes the model.

    Args:
        seed: Seed of the weights and the batches.
        text: What to learn, bytes of shape (T,); the last tenth is for evaluations.
        half: Whether to train in float16 with a GradScaler.
    """

    halves = True
    cosine = True
    clip = 1.0

    def __init__(self, seed: int, text: torch.Tensor, *, half: bool = False) -> None:
        super().__init__(seed, half=half)
        self.generator = torch.Generator().manual_seed(seed)
        split = len(text) * 9 // 10
        self.text, self.held_out = text[:split], text[split:]

    def draw_batch(self) -> Batch:
        """Returns random sequences of bytes, and the bytes that follow each."""
        return _draw(self.text, BATCH, self.generator)

    def compute_loss(self) -> torch.Tensor:
        """Returns the mean cross-entropy of a random batch, in nats for each byte."""
        return self._cross_entropy(*self.draw_batch())

    def evaluate(self) -> Mapping[str, float]:
        """Returns the loss of the held-out text."""
        with torch.no_grad():
            generator = torch.Generator().manual_seed(0)
            batch = _draw(self.held_out, 4 * BATCH, generator)
            return {"val_loss": float(self._cross_entropy(*batch))}

    def _cross_entropy(self, tokens: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        logits = self.model(tokens)
        return functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


def _draw(text: torch.Tensor, count: int, generator: torch.Generator) -> Batch:
    """Returns sequences of a text, and what follows each byte, both of shape (N, T)."""
    starts = torch.randint(len(text) - CONTEXT, (count, 1), generator=generator)
    tokens = text[starts + torch.arange(CONTEXT + 1)]
    return tokens[:, :-1], tokens[:, 1:]


class Transformer(LanguageTask):
    """A transformer that learns this project's documentation."""

    name = "transformer, AdamW"
    layer = "blocks.1.mlp.0"
    warm_up = 100

    def __init__(self, seed: int, *, half: bool = False) -> None:
        super().__init__(seed, read_text("docs/*.md"), half=half)
        self.model, self.rate = LanguageModel(), 3e-3
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), self.rate, betas=(0.9, 0.95), weight_decay=0.1
        )


class LowRankAdaptation(LanguageTask):
    """LoRA: a transformer that knows the documentation learns this project's source."""

    name = "LoRA on a transformer"
    layer = "blocks.1.attention.value.lora_b"
    warm_up = 30

    def __init__(self, seed: int, *, half: bool = False) -> None:
        super().__init__(seed, read_text("gradsound/**/*.py"), half=half)
        self.model, self.rate = LanguageModel(), 5e-3
        self.model.load_state_dict(pretrain())
        self.model.requires_grad_(False)
        torch.manual_seed(seed)
        for block in self.model.blocks:
            for name, part in [*block.named_modules()]:
                if isinstance(part, nn.Linear):
                    block.set_submodule(name, LowRankLinear(part))
        adapted = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(adapted, self.rate, weight_decay=0.0)


@cache
def read_text(pattern: str) -> torch.Tensor:
    """Returns the bytes of this project's files that match a pattern, shape (T,)."""
    files = sorted(ROOT.glob(pattern))
    return torch.tensor([*b"\n".join(file.read_bytes() for file in files)])


@cache
def pretrain() -> dict[str, torch.Tensor]:
    """Returns the weights of a transformer that learned the documentation for a while."""
    task = Transformer(PRETRAINING_SEED)
    for _ in range(PRETRAINING_STEPS):
        task.optimizer.zero_grad()
        task.compute_loss().backward()
        nn.utils.clip_grad_norm_(task.model.parameters(), 1.0)
        task.optimizer.step()
    return task.model.state_dict()
