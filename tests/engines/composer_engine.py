"""MosaicML Composer: ComposerCallback, and `attach` in a user's own callback."""

from __future__ import annotations

from functools import partial

import fitting_torchvision  # noqa: F401 (before composer, which imports torchvision)
import torch
from checked_case import RUN, Training, check, copies, data
from composer import Trainer
from composer.algorithms import SAM, GradientClipping
from composer.core import Algorithm, Callback, Event
from composer.models import ComposerModel
from helpers.models import small
from helpers.oracle import true_norms
from torch.utils.data import DataLoader

import gradsound


class Model(ComposerModel):
    """A small model whose loss is the mean square of its output."""

    def __init__(self) -> None:
        super().__init__()
        self.net = small()

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """Returns the output for a batch."""
        return self.net(batch)

    def loss(self, outputs: torch.Tensor, batch: torch.Tensor) -> torch.Tensor:
        """Returns the loss of a batch."""
        return outputs.float().square().mean()


class Unclipped(Algorithm):
    """Adds the true norms to a training before GradientClipping.

    Composer calls algorithms in reverse after a batch: this is the last in the list.
    """

    def __init__(self, done: Training) -> None:
        self._done = done

    def match(self, event: Event, state: object) -> bool:
        """Chooses the event after which GradientClipping clips."""
        return event == Event.AFTER_TRAIN_BATCH

    def apply(self, event: Event, state: object, logger: object) -> None:
        """Looks at complete gradients."""
        self._done.raw.append(true_norms(state.model))


class Applied(Callback):
    """Adds the true norms to a training when the gradients of a batch are complete."""

    def __init__(self, done: Training) -> None:
        self._done, self._losses, self._norms = done, [], None

    def before_train_batch(self, state: object, logger: object) -> None:
        """Forgets a batch that SAM evaluates again."""
        self._losses.clear()

    def before_backward(self, state: object, logger: object) -> None:
        """Keeps the loss of a microbatch."""
        self._losses.append(state.loss.item())

    def after_train_batch(self, state: object, logger: object) -> None:
        """Looks at the gradients that the optimizer applies."""
        self._norms = true_norms(state.model)

    def batch_end(self, state: object, logger: object) -> None:
        """Adds what the last evaluation of the batch made."""
        self._done.applied.append(self._norms)
        self._done.losses.append(sum(self._losses) / len(self._losses))


class Attaching(Callback):
    """A user's own callback."""

    def fit_start(self, state: object, logger: object) -> None:
        """Attaches."""
        self._attachment = gradsound.attach(state.model, state.optimizers[0], log=RUN)

    def fit_end(self, state: object, logger: object) -> None:
        """Ends the run."""
        self._attachment.close()


def train(
    attached: bool,
    *algorithms: object,
    callback: type | None = None,
    clip: bool = False,
    **options: object,
) -> Training:
    """Fits a small model for two epochs."""
    model = Model()
    done = Training(raw=[] if clip else None)
    algorithms = [*algorithms]
    if clip:
        algorithms += [GradientClipping("norm", 1 / 13), Unclipped(done)]
    ours = [] if not attached else [callback() if callback else _ours()]
    applied = Applied(done)
    trainer = Trainer(
        model=model,
        train_dataloader=DataLoader(data(), batch_size=4),
        optimizers=torch.optim.AdamW(model.parameters(), lr=0.01),
        max_duration="2ep",
        algorithms=algorithms,
        callbacks=[applied, *ours],
        progress_bar=False,
        device="cpu",
        **options,
    )
    trainer.fit()
    trainer.close()
    if callback:
        done.losses.clear()  # it logs none
    done.weights = copies(model)
    return done


def _ours() -> Callback:
    return gradsound.ComposerCallback(log=RUN)


check("fit", train)
check("clipped", partial(train, clip=True))
check("microbatches, clipped", partial(train, clip=True, device_train_microbatch_size=2))
check("SAM (closure)", lambda on: train(on, SAM(rho=0.05)))
check("attach in a callback", partial(train, callback=Attaching))
