"""Lightning: LightningCallback."""

from __future__ import annotations

from functools import partial

import lightning
import torch
from checked_case import RUN, Training, check, copies, data
from helpers.models import small
from helpers.oracle import true_norms
from torch.utils.data import DataLoader

import gradsound


class Module(lightning.LightningModule):
    """Keeps the true norms before and after clipping."""

    def __init__(self, done: Training) -> None:
        super().__init__()
        self.net, self.done = small(), done

    def training_step(self, x: torch.Tensor, _: int) -> torch.Tensor:
        """Returns the loss of a batch."""
        return self.net(x).float().square().mean()

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clips, and looks at the gradients."""
        if self.done.raw is not None:
            self.done.raw.append(true_norms(self))
        self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
        self.done.applied.append(true_norms(self))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Returns the optimizer."""
        return torch.optim.AdamW(self.parameters(), lr=0.01)


def train(attached: bool, **options: object) -> Training:
    """Fits for two epochs."""
    done = Training(raw=[] if "gradient_clip_val" in options else None)
    module = Module(done)
    lightning.Trainer(
        callbacks=[gradsound.LightningCallback(log=RUN)] if attached else [],
        **{"max_epochs": 2, "accelerator": "cpu", "enable_checkpointing": False},
        **{"logger": False, "enable_progress_bar": False, "enable_model_summary": False},
        **options,
    ).fit(module, DataLoader(data(), batch_size=4))
    done.weights = copies(module)
    return done


check("fit (closure)", train)
check("clipped", partial(train, gradient_clip_val=1 / 13))
check("bf16, clipped", partial(train, gradient_clip_val=1 / 13, precision="bf16-mixed"))
check("3 batches a step", partial(train, accumulate_grad_batches=3))
