"""torch-xla: training loops whose operations the device compiles later.

Each case trains three times: without gradsound, with it, and with the oracle, which reads
the gradients in each step and so cuts the graph of the step. Recording must leave the
executions of each step, and its compilations after the first steps, as they are without.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
import torch_xla
import torch_xla.core.xla_model as xm
from checked_case import RUN, Training, TrueNorms, check, data
from helpers.oracle import true_norms
from torch import nn
from torch_xla.debug import metrics
from torch_xla.distributed.parallel_loader import MpDeviceLoader

import gradsound

_WARM_UP = 3  # steps; the first ones make the state of the optimizer
_CLIP = 1 / 13
_DEVICE = torch_xla.device()
_ADAMW = partial(torch.optim.AdamW, lr=0.01)

Clip = Callable[[], None]
Ended = Callable[[], None]  # called after each step
Loop = Callable[[nn.Module, Any, Clip, Ended], None]


def check_loop(
    case: str,
    loop: Loop,
    *,
    make: Callable[[Iterator[nn.Parameter]], Any] = _ADAMW,
    clips: bool = True,
    **options: object,
) -> bool:
    """Prints what is right with a loop; returns whether all is.

    Args:
        case: A few words.
        loop: Trains a model by an optimizer.
        make: Makes the optimizer from the model's parameters.
        clips: Whether the loop clips.
        **options: Of `gradsound.attach`; ``optimizer=None`` attaches to the model alone.
    """
    bare: list[tuple[int, int]] = []

    def train(attached: bool) -> Training:
        done = Training()
        net = _model()
        optimizer = make(net.parameters())
        given = {"optimizer": optimizer, **options}
        recording = gradsound.attach(net, log=RUN, **given) if attached else nullcontext()
        counts: list[tuple[int, int]] = []
        with recording:
            counter = _Counter(counts)
            loop(net, optimizer, lambda: _clip(net), counter.step_ended)
        torch_xla.sync()
        done.weights = [p.detach().cpu() for p in net.parameters()]
        if not attached:
            bare[:] = counts
            return done
        _compare(bare, counts)
        truth = _true_training(loop, make, clips)
        done.applied, done.raw = truth.applied, truth.raw
        return done

    return check(case, train)


def _true_training(
    loop: Loop, make: Callable[[Iterator[nn.Parameter]], Any], clips: bool
) -> Training:
    net = _model()
    optimizer = make(net.parameters())
    raw: list[TrueNorms] = []
    applied: list[TrueNorms] = []

    def clip() -> None:
        raw.append(_true_norms(net))
        _clip(net)
        applied.append(_true_norms(net))

    if not clips:
        optimizer.register_step_pre_hook(lambda *_: applied.append(_true_norms(net)))
    loop(net, optimizer, clip, lambda: None)
    return Training(applied=applied, raw=raw if clips else None)


def _true_norms(net: nn.Module) -> TrueNorms:
    torch_xla.sync()  # else each norm would execute a part of the step
    return true_norms(net)


def _model() -> nn.Module:
    """Returns a model with a convolution, whose sums have enough terms to round."""
    torch.manual_seed(0)
    layers = (nn.Unflatten(1, (1, 3)), nn.Conv1d(1, 32, 2), nn.BatchNorm1d(32), nn.GELU())
    head = (nn.Flatten(), nn.Linear(64, 128), nn.LayerNorm(128), nn.ReLU())
    return nn.Sequential(*layers, *head, nn.Linear(128, 1)).to(_DEVICE)


def _clip(net: nn.Module) -> None:
    nn.utils.clip_grad_norm_(net.parameters(), _CLIP)


class _Counter:
    """Counts the executions and the compilations of each step."""

    def __init__(self, counts: list[tuple[int, int]]) -> None:
        torch_xla.sync()
        self._counts = counts
        self._before = self._total()

    def step_ended(self) -> None:
        """Adds the counts since the last step."""
        now = self._total()
        self._counts.append((now[0] - self._before[0], now[1] - self._before[1]))
        self._before = now

    @staticmethod
    def _total() -> tuple[int, int]:
        xm.wait_device_ops()  # the device counts an execution when it is complete
        executions = metrics.metric_data("ExecuteTime") or (0,)
        compilations = metrics.metric_data("CompileTime") or (0,)
        return executions[0], compilations[0]


def _compare(bare: list[tuple[int, int]], recorded: list[tuple[int, int]]) -> None:
    """Raises RuntimeError unless recording leaves executions and compilations alone."""
    executions = [[count for count, _ in counts] for counts in (bare, recorded)]
    compilations = [
        [count for _, count in counts[_WARM_UP:]] for counts in (bare, recorded)
    ]
    for name, (without, with_it) in [
        ("executions", executions),
        ("compilations", compilations),
    ]:
        if without != with_it:
            raise RuntimeError(
                f"{name} of each step: {with_it}, without recording {without}"
            )


def _inputs(rows: int = 96, *, each: int = 8) -> Iterator[torch.Tensor]:
    return iter(data(rows).split(each))


def _backward(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
    loss = net(x.to(_DEVICE)).square().mean()
    loss.backward()
    return loss


def synced(net: nn.Module, optimizer: Any, clip: Clip, ended: Ended) -> None:
    """Ends each step by sync()."""
    for x in _inputs():
        optimizer.zero_grad()
        _backward(net, x)
        clip()
        optimizer.step()
        torch_xla.sync()
        ended()


def unclipped(net: nn.Module, optimizer: Any, _: Clip, ended: Ended) -> None:
    """Removes the gradients before the end of the step."""
    for x in _inputs():
        _backward(net, x)
        xm.optimizer_step(optimizer)
        optimizer.zero_grad()
        torch_xla.sync()
        ended()


def barrier(net: nn.Module, optimizer: Any, clip: Clip, ended: Ended) -> None:
    """Ends each step by optimizer_step()."""
    for x in _inputs():
        optimizer.zero_grad()
        _backward(net, x)
        clip()
        xm.optimizer_step(optimizer, barrier=True)
        ended()


def loaded(net: nn.Module, optimizer: Any, clip: Clip, ended: Ended) -> None:
    """Leaves the end of each step to the loader."""
    for number, x in enumerate(MpDeviceLoader([*_inputs()], _DEVICE)):
        if number:
            ended()
        optimizer.zero_grad()
        _backward(net, x)
        clip()
        xm.optimizer_step(optimizer)


def accumulated(net: nn.Module, optimizer: Any, clip: Clip, ended: Ended) -> None:
    """Steps after three batches."""
    for number, x in enumerate(_inputs(288)):
        _backward(net, x)
        if number % 3 == 2:
            clip()
            xm.optimizer_step(optimizer)
            optimizer.zero_grad()
        torch_xla.sync()
        ended()


def rarely_synced(net: nn.Module, optimizer: Any, clip: Clip, ended: Ended) -> None:
    """Puts three steps into one graph."""
    for number, x in enumerate(_inputs()):
        optimizer.zero_grad()
        _backward(net, x)
        clip()
        optimizer.step()
        if number % 3 == 2:
            torch_xla.sync()
            ended()


def never_synced(net: nn.Module, optimizer: Any, clip: Clip, ended: Ended) -> None:
    """Computes nothing before the end."""
    for x in _inputs(32):
        optimizer.zero_grad()
        _backward(net, x)
        clip()
        optimizer.step()
        ended()


def autocast(net: nn.Module, optimizer: Any, clip: Clip, ended: Ended) -> None:
    """Computes in half precision."""
    for x in _inputs():
        optimizer.zero_grad()
        with torch.autocast("xla", dtype=torch.bfloat16):
            loss = net(x.to(_DEVICE)).square().mean()
        loss.backward()
        clip()
        optimizer.step()
        torch_xla.sync()
        ended()


def scaled(net: nn.Module, optimizer: Any, clip: Clip, ended: Ended) -> None:
    """Scales the loss; the scaler itself waits for the device in each step."""
    scaler = torch.amp.GradScaler("xla", init_scale=8.0)
    for x in _inputs():
        optimizer.zero_grad()
        scaler.scale(net(x.to(_DEVICE)).square().mean()).backward()
        scaler.unscale_(optimizer)
        clip()
        scaler.step(optimizer)
        scaler.update()
        torch_xla.sync()
        ended()


def with_closure(net: nn.Module, optimizer: Any, clip: Clip, ended: Ended) -> None:
    """Makes the gradients in a closure."""
    for x in _inputs():

        def closure(x: torch.Tensor = x) -> torch.Tensor:
            optimizer.zero_grad()
            with torch.enable_grad():
                loss = _backward(net, x)
            clip()
            return loss

        optimizer.step(closure)
        torch_xla.sync()
        ended()


def compiled(net: nn.Module, optimizer: Any, clip: Clip, ended: Ended) -> None:
    """Compiles the model by torch.compile."""
    synced(torch.compile(net, backend="openxla"), optimizer, clip, ended)


CASES: tuple[tuple[str, Loop, dict[str, Any]], ...] = (
    ("sync", synced, {}),
    ("sync, attach(model)", synced, {"optimizer": None}),
    ("sync, SGD", synced, {"make": partial(torch.optim.SGD, lr=0.01, momentum=0.9)}),
    ("xm.optimizer_step, not clipped", unclipped, {"clips": False}),
    ("xm.optimizer_step, barrier", barrier, {}),
    ("MpDeviceLoader", loaded, {}),
    ("accumulated batches", accumulated, {}),
    ("three steps a graph", rarely_synced, {}),
    ("no sync", never_synced, {}),
    ("autocast", autocast, {}),
    ("GradScaler", scaled, {}),
    ("step(closure)", with_closure, {"make": partial(torch.optim.SGD, lr=0.01)}),
    ("torch.compile, openxla", compiled, {}),
)

if __name__ == "__main__":
    names = sys.argv[1:] or [case for case, _, _ in CASES]
    right = [
        check_loop(case, loop, **options) for case, loop, options in CASES if case in names
    ]
    sys.exit(not all(right))
