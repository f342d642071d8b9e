"""The cases of overhead.py that take long to start: a sound file, TensorBoard and wandb."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from runs import new_log
from timed_loop import BARE

import gradsound

if TYPE_CHECKING:
    from collections.abc import Iterator

    from timed_loop import Loop, Measure

LONG_CONTROL = "bare again, in long turns"


@contextmanager
def measure_nothing(loop: Loop) -> Iterator[Measure]:
    """Measures nothing."""
    yield lambda _: None


@contextmanager
def render_sound_file(loop: Loop) -> Iterator[Measure]:
    """Attaches gradsound with a sound file, which another process renders meanwhile."""
    with gradsound.attach(loop.model, loop.optimizer, log=new_log(), wav="run.wav"):
        yield lambda _: None


@contextmanager
def write_histograms(loop: Loop) -> Iterator[Measure]:
    """Writes a histogram of every gradient at every step."""
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter("board") as writer:

        def measure(step: int) -> None:
            for name, parameter in loop.model.named_parameters():
                writer.add_histogram(name, parameter.grad, step)

        yield measure


@contextmanager
def watch_by_wandb(loop: Loop) -> Iterator[Measure]:
    """Calls ``wandb.watch(log="gradients", log_freq=1)``, offline."""
    import wandb

    wandb.watch(loop.model, log="gradients", log_freq=1)
    yield lambda step: wandb.log({"number": step})
    wandb.unwatch(loop.model)


@contextmanager
def open_wandb_run(folder: str) -> Iterator[None]:
    """Opens one run of wandb for all turns, because it takes seconds to start."""
    import wandb

    with wandb.init(mode="offline", dir=folder, settings=wandb.Settings(silent=True)):
        yield


LONG_CASES = {
    BARE: measure_nothing,
    LONG_CONTROL: measure_nothing,
    "gradsound, with a sound file": render_sound_file,
    "TensorBoard histograms": write_histograms,
    "wandb.watch": watch_by_wandb,
}
