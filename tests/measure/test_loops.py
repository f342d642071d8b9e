"""Whole training loops as people write them: norms as by hand, and the same weights."""

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from helpers.models import loss_of, small, true_norm
from torch import nn

import gradsound

pytestmark = pytest.mark.usefixtures("own_folder")


class Loop:
    """A training loop that a test runs twice, attached and not.

    Args:
        attached: Whether gradsound records it.

    Attributes:
        raw: True norms from before clipping, one row a step.
        applied: True norms that the optimizer applies.
        skipped: Whether each step is skipped.
    """

    def __init__(self, *, attached: bool) -> None:
        self.attached = attached
        self.data = torch.Generator().manual_seed(1)
        self.raw, self.applied, self.skipped = [], [], []

    @contextmanager
    def attach(self, *args: object, **options: object) -> Iterator[gradsound.Attachment]:
        """Attaches as gradsound does, or returns an attachment that does nothing."""
        if self.attached:
            with gradsound.attach(*args, **options) as attachment:
                yield attachment
        else:
            yield Mock(spec=gradsound.Attachment)

    def norms(self, model: nn.Module) -> list[float]:
        """Returns the true norm of each layer."""
        return [true_norm(model[0]), true_norm(model[2])]


def accumulates_with_a_tail(loop: Loop) -> nn.Module:
    """Accumulates 4 batches of 10; the last step of an epoch has 2; a scaler skips one."""
    model = small()
    optimizer = torch.optim.AdamW(model.parameters())
    scaler = torch.amp.GradScaler("cpu", init_scale=256.0)
    with loop.attach(model, optimizer, scaler=scaler):
        for k in range(20):
            with torch.autocast("cpu", torch.bfloat16):
                loss = loss_of(model, loop.data) / 4
            scaler.scale(loss * (math.inf if k == 5 else 1.0)).backward()
            if (k % 10 + 1) % 4 and k % 10 != 9:
                continue
            scaler.unscale_(optimizer)
            loop.raw.append(loop.norms(model))
            norm = nn.utils.clip_grad_norm_(model.parameters(), 1 / 3)
            loop.applied.append(loop.norms(model))
            loop.skipped.append(not norm.isfinite())
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
    return model


def two_optimizers_and_a_scaler(loop: Loop) -> nn.Module:
    """One backward pass for two optimizers; the scaler skips both of them once."""
    model = small()
    optimizers = [
        torch.optim.Adam(model[0].parameters()),
        torch.optim.SGD(model[2].parameters(), lr=0.01),
    ]
    scaler = torch.amp.GradScaler("cpu", init_scale=64.0)
    with loop.attach(model, optimizers, scaler=scaler):
        for k in range(7):
            loss = loss_of(model, loop.data) * (math.inf if k == 3 else 1.0)
            scaler.scale(loss).backward()
            for optimizer in optimizers:
                scaler.unscale_(optimizer)
            loop.raw.append(loop.norms(model))
            nn.utils.clip_grad_norm_(model.parameters(), 1 / 3)
            loop.applied.append(loop.norms(model))
            loop.skipped.append(k == 3)
            for optimizer in optimizers:
                scaler.step(optimizer)
            scaler.update()
            for optimizer in optimizers:
                optimizer.zero_grad(set_to_none=False)
    return model


def clips_each_parameter_by_its_size(loop: Loop) -> nn.Module:
    """Clips by its own rule, accumulates, and skips iterations in place."""
    model = small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with loop.attach(model, optimizer) as attachment:
        for k in range(9):
            for _ in range(2):
                (loss_of(model, loop.data) * (1e9 if k in (3, 4) else 1.0)).backward()
            raw = loop.norms(model)
            attachment.before_clip()
            for p in model.parameters():
                p.grad.mul_(min(1.0, float(p.detach().norm() / p.grad.norm()) / 20))
            loop.skipped.append(max(raw) > 1e6)
            loop.raw.append(raw)
            loop.applied.append(raw if loop.skipped[-1] else loop.norms(model))
            if not loop.skipped[-1]:
                optimizer.step()
            for p in model.parameters():
                p.grad.zero_()
    return model


def goes_back_to_a_checkpoint(loop: Loop) -> nn.Module:
    """Evaluates between steps, stops after 7 of them, and goes on from the fourth."""
    checkpoint, begin = None, 0
    for end in (7, 9):
        model = small()
        optimizer = torch.optim.Adam(model.parameters())
        if checkpoint is not None:
            model.load_state_dict(checkpoint[0])
            optimizer.load_state_dict(checkpoint[1])
            loop.data.set_state(checkpoint[2])
        for rows in (loop.raw, loop.applied, loop.skipped):
            del rows[begin:]
        options = {"resume": True, "start_step": begin}
        with loop.attach(model, optimizer, **options) as attachment:
            for k in range(begin, end):
                if k == 4:
                    states = model.state_dict(), optimizer.state_dict()
                    checkpoint = *copy.deepcopy(states), loop.data.get_state()
                model.train()
                optimizer.zero_grad()
                loss_of(model, loop.data).backward()
                loop.raw.append(loop.norms(model))
                loop.applied.append(loop.raw[-1])
                loop.skipped.append(False)
                optimizer.step()
                model.eval()
                with torch.no_grad():
                    attachment.log_values(val_loss=model(torch.ones(2, 3)).mean())
        begin = 4
    return model


LOOPS = (
    accumulates_with_a_tail,
    two_optimizers_and_a_scaler,
    clips_each_parameter_by_its_size,
    goes_back_to_a_checkpoint,
)


@pytest.mark.parametrize("train", LOOPS)
def test_norms_and_weights(train: Callable[[Loop], nn.Module]) -> None:
    """The run has the norms of each step as by hand; the weights stay bit-identical."""
    loop = Loop(attached=True)
    model = train(loop)
    steps = [*gradsound.read_run("run.jsonl").steps]
    bare = train(Loop(attached=False))

    assert [step.number for step in steps] == [*range(len(loop.raw))]
    assert [step.skipped for step in steps] == loop.skipped
    norms = [step.norms for step in steps]
    np.testing.assert_allclose(norms, loop.applied, rtol=1e-5)
    raw = [step.norms if step.raw is None else step.raw for step in steps]
    np.testing.assert_allclose(raw, loop.raw, rtol=1e-5)
    for one, other in zip(model.parameters(), bare.parameters()):
        assert torch.equal(one, other)
