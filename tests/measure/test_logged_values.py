"""Logged values: each is in the step that follows, and training waits for none."""

import math
import re
import warnings
import weakref
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from helpers.models import loss_of, sgd, small, train
from helpers.monitors import BOTH, attach_with_parts
from helpers.ranks import run_ranks
from torch import nn
from torch._dynamo.testing import CompileCounter

import gradsound
from gradsound.attachment import Attachment
from gradsound.errors import GradsoundWarning
from gradsound.measure.async_copy import AsyncCopy
from gradsound.measure.hooks.parts import MonitorParts
from gradsound.measure.logged_values import LoggedValues
from gradsound.measure.overhead_budget import OverheadBudget
from gradsound.measure.step_queue import StepQueue

INF, NAN = math.inf, math.nan
pytestmark = pytest.mark.usefixtures("own_folder")


def values() -> list[dict[str, float]]:
    """Returns the values in the run file, one dict a step."""
    return [dict(step.values) for step in gradsound.read_run("run.jsonl").steps]


def log_one(value: object) -> dict[str, float]:
    """Logs a value for the only step of a run; returns the values in the run file."""
    model = small()
    optimizer = sgd(model)
    with gradsound.attach(model, optimizer) as attachment:
        attachment.log_values(value=value)
        train(model, optimizer, 1)
    (step_values,) = values()
    return step_values


class Far(torch.Tensor):
    """A tensor that claims to be on an accelerator, and counts the waits for it."""

    is_cpu = False
    waits = 0

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        waiting = ("item", "tolist", "numpy", "cpu", "double", "__float__", "__repr__")
        Far.waits += function.__name__ in waiting
        return super().__torch_function__(function, types, args, kwargs)


class LateCopy(AsyncCopy):
    """A copy from an accelerator; the test decides when it is complete."""

    arrived = False
    waits = 0

    def __init__(self, tensors: list[torch.Tensor]) -> None:
        assert not any(tensor.requires_grad for tensor in tensors)
        plain = [torch.Tensor.clone(one).as_subclass(torch.Tensor) for one in tensors]
        super().__init__(plain)

    @property
    def ready(self) -> bool:
        return LateCopy.arrived

    def values(self):
        LateCopy.waits += not LateCopy.arrived
        return super().values()


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> Callable[[torch.Tensor], torch.Tensor]:
    """Puts tensors on an accelerator, as far as a monitor can see."""
    parts = MonitorParts(
        queue=partial(StepQueue, max_delay=0.0),  # emits ready steps at each step
        logged_values=partial(LoggedValues, LateCopy),
    )
    attach_with_parts(monkeypatch, parts)
    LateCopy.arrived, LateCopy.waits, Far.waits = False, 0, 0
    return lambda tensor: tensor.as_subclass(Far)


# In a loop


@BOTH
def test_values_are_with_the_step_that_follows(with_optimizer: bool) -> None:
    """A step has the values logged since the previous step, the last one of each name."""
    model = small()
    optimizer = sgd(model)
    with gradsound.attach(model, optimizer if with_optimizer else None) as attachment:
        attachment.log_values(loss=7.0, lr=0.1)
        attachment.log_values(
            loss=1 / 3, **{"": 1, "self": 2, "values": 3, "Verlust, ü": NAN}
        )
        train(model, optimizer, 2)
        attachment.log_values(epoch=2)
        train(model, optimizer, 1)
        attachment.log_values(loss=5.0)  # no step follows
    first, *others = values()

    assert math.isnan(first.pop("Verlust, ü"))
    assert first == {"loss": 1 / 3, "lr": 0.1, "": 1.0, "self": 2.0, "values": 3.0}
    assert others == [{}, {"epoch": 2.0}]


ONE = [
    (1 / 3, 1 / 3),
    (7, 7.0),
    (True, 1.0),
    (-INF, -INF),
    (2**60 + 1, 2.0**60),
    (np.float64(1 / 3), 1 / 3),
    (np.float32(0.1), float(np.float32(0.1))),
    (np.float16(0.1), float(np.float16(0.1))),
    (np.int8(-7), -7.0),
    (np.uint64(2**63), 2.0**63),
    (np.bool_(True), 1.0),
    (np.array(1 / 3), 1 / 3),
    (np.array([[5]]), 5.0),
    (torch.tensor(1 / 3, dtype=torch.float64), 1 / 3),
    (torch.tensor([[1 / 3]]), float(np.float32(1 / 3))),
    (torch.tensor(0.1, dtype=torch.bfloat16), 0.10009765625),
    (torch.tensor(0.1, dtype=torch.float16), float(np.float16(0.1))),
    (torch.tensor(-3), -3.0),
    (torch.tensor(True), 1.0),
    (torch.tensor(INF), INF),
    (nn.Parameter(torch.tensor(0.5)), 0.5),
]


@pytest.mark.parametrize(("value", "expected"), ONE, ids=lambda value: repr(value))
def test_any_one_number_is_a_value(value: object, expected: float) -> None:
    """One number of Python, numpy or torch, of any type, is exact in the run file."""
    assert log_one(value) == {"value": expected}


@pytest.mark.parametrize(
    ("value", "expected"), [one for one in ONE if isinstance(one[0], torch.Tensor)]
)
def test_any_one_number_on_an_accelerator(
    far, value: torch.Tensor, expected: float
) -> None:
    """One number on an accelerator is exact in the run file, as one in host memory."""
    assert log_one(far(value)) == {"value": expected}
    assert LateCopy.waits == 1  # at the end of the run, which may wait


class Broken:
    @property
    def shape(self):
        raise KeyError

    def __repr__(self) -> str:
        raise KeyError


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "None"),
        ("1.0", "'1.0'"),
        ("x" * 99, r"'xxxxxxxxxxxx\.\.\.xxxxxxxxxxxxx'"),
        (1j, "1j"),
        (np.complex64(1j), "complex64"),
        ([1.0], "list"),
        (10**5000, r"int \(int too large to convert to float\)"),
        (np.ones(3), r"ndarray of shape \(3,\) and float64"),
        (np.ones(0), r"ndarray of shape \(0,\) and float64"),
        (np.array("1"), r"ndarray of shape \(\) and <U1"),
        (np.datetime64(0, "s"), "datetime64"),
        (np.array(None), r"ndarray of shape \(\) and object"),
        (torch.ones(3), r"Tensor of shape \(3,\) and torch.float32"),
        (torch.ones(0), r"Tensor of shape \(0,\) and torch.float32"),
        (torch.tensor(1j), r"Tensor of shape \(\) and torch.complex64"),
        (torch.ones((), device="meta"), r"Tensor \(.*meta.*\)"),
        (torch.ones(2, 2).as_subclass(Far), r"Far of shape \(2, 2\) and torch.float32"),
        ([torch.ones(()).as_subclass(Far)], "list"),
        (Broken(), "Broken"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_that_are_no_number_are_left_out(value: object, kind: str) -> None:
    """Each name causes one warning with the remedy; the other values are recorded."""
    model = small()
    optimizer = sgd(model)
    Far.waits = 0
    with gradsound.attach(model, optimizer) as attachment:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for _ in range(3):
                attachment.log_values(first=value, loss=1 / 3, second=value)
        train(model, optimizer, 1)
    reason = "expected a number, or a tensor or array of one, got "

    assert [warning.category for warning in caught] == [GradsoundWarning] * 2
    for name, warning in zip(("first", "second"), caught):
        expected = f"the value '{name}' is left out: {reason}{kind}"
        assert re.fullmatch(expected, str(warning.message)), warning.message
    assert values() == [{"loss": 1 / 3}]
    assert Far.waits == 0


def test_warnings_as_errors_do_not_reach_training(capsys) -> None:
    """log_values() does not raise, even if warnings are errors."""
    model = small()
    with gradsound.attach(model) as attachment:
        attachment.log_values(loss=None)  # warnings are errors in all tests
        train(model, sgd(model), 1)

    assert "the value 'loss' is left out" in capsys.readouterr().err


def test_values_are_copied_when_logged() -> None:
    """A later change in place of a tensor or array does not change the logged value."""
    model = small()
    optimizer = sgd(model)
    tensor, array = torch.tensor(1 / 3, dtype=torch.float64), np.array([2 / 3])
    with gradsound.attach(model, optimizer) as attachment:
        attachment.log_values(tensor=tensor, array=array)
        tensor.zero_()
        array[0] = 0.0
        train(model, optimizer, 1)

    assert values() == [{"tensor": 1 / 3, "array": 2 / 3}]


def test_training_does_not_wait_for_an_accelerator(far) -> None:
    """Steps are emitted in order once their values are copied, as they were when logged."""
    model = small()
    optimizer = sgd(model)
    attachment = gradsound.attach(model, optimizer)
    one, other = far(torch.tensor(0.25)), far(torch.tensor(0.75))
    attachment.log_values(loss=far(torch.tensor(9.0)))
    attachment.log_values(loss=one, other=other, here=1 / 3)
    one.as_subclass(torch.Tensor).zero_()
    train(model, optimizer, 1)
    train(model, optimizer, 3)
    assert not values()
    assert (LateCopy.waits, Far.waits) == (0, 0)
    LateCopy.arrived = True
    train(model, optimizer, 1)

    assert values() == [{"loss": 0.25, "other": 0.75, "here": 1 / 3}, {}, {}, {}, {}]
    attachment.close()
    assert (LateCopy.waits, Far.waits) == (0, 0)


class TokenFunction(torch.autograd.Function):
    """An operation whose autograd node refers to a token."""

    @staticmethod
    def forward(ctx, x, token):
        ctx.token = token
        return x.clone()

    @staticmethod
    def backward(_, gradient):
        return gradient, None


@pytest.mark.parametrize("where", ["here", "there"])
def test_no_graph_is_kept_alive(far, where: str) -> None:
    """A logged loss and its autograd graph are freed when the loop drops the loss."""
    model = small()
    optimizer = sgd(model)
    token = nn.Identity()  # any object with weak references
    with gradsound.attach(model, optimizer) as attachment:
        loss = TokenFunction.apply(loss_of(model, torch.Generator()), token)
        if where == "there":
            loss = far(loss)
        graph, tensor = weakref.ref(token), weakref.ref(loss)
        attachment.log_values(loss=loss)
        del token
        assert graph() is not None  # the loss refers to it
        del loss

        assert (graph(), tensor()) == (None, None)
        train(model, optimizer, 1)
    assert [*values()[0]] == ["loss"]


@BOTH
@pytest.mark.parametrize("where", ["here", "there"])
def test_training_is_bit_identical(far, where: str, with_optimizer: bool) -> None:
    """With and without values the weights are the same to the last bit."""
    states = []
    for logs in (True, False):
        model = small()
        optimizer = torch.optim.Adam(model.parameters())
        data = torch.Generator().manual_seed(1)
        with gradsound.attach(model, optimizer if with_optimizer else None) as attachment:
            for k in range(20):
                optimizer.zero_grad()
                loss = loss_of(model, data)
                if logs:
                    logged_loss = far(loss) if where == "there" else loss
                    attachment.log_values(loss=logged_loss, bias=model[2].bias, step=k)
                loss.backward()
                optimizer.step()
        states.append([*model.state_dict().values(), torch.rand(3)])

    assert all(torch.equal(one, other) for one, other in zip(*states))


# Steps that differ


class BudgetOfSteps(OverheadBudget):
    """A budget that allows the steps 0 and 3."""

    steps = 0

    def allows(self, _: float) -> bool:
        self.steps += 1
        return self.steps - 1 in (0, 3)


def test_values_wait_for_a_step_that_is_measured(monkeypatch) -> None:
    """Values of a step that the budget leaves out are in the next measured step."""
    attach_with_parts(monkeypatch, MonitorParts(budget=BudgetOfSteps))
    model = small()
    optimizer = sgd(model)
    with gradsound.attach(model, optimizer, budget=0.25) as attachment:
        for k in range(5):
            attachment.log_values(loss=k, **{f"only{k}": k})
            train(model, optimizer, 1)
    first, second = gradsound.read_run("run.jsonl").steps

    assert (first.number, first.values) == (0, {"loss": 0, "only0": 0})
    assert (second.number, second.values) == (
        3,
        {"loss": 3, "only1": 1, "only2": 2, "only3": 3},
    )


def test_steps_of_another_model_have_no_values() -> None:
    """A step of an optimizer of another model does not use up the values."""
    model, other = small(), small()
    with gradsound.attach(model) as attachment:
        attachment.log_values(loss=1 / 3)
        train(other, sgd(other), 2)
        train(model, sgd(model), 2)

    assert values() == [{"loss": 1 / 3}, {}]


@BOTH
@pytest.mark.parametrize("fused", [True, False])
def test_skipped_steps_have_values(with_optimizer: bool, fused: bool) -> None:
    """Values of a batch whose step the scaler skips are in the skipped step."""
    model = small()
    optimizer = sgd(model, fused=fused)
    scaler = torch.amp.GradScaler("cpu")
    data = torch.Generator().manual_seed(1)
    attached_optimizer = optimizer if with_optimizer else None
    with gradsound.attach(model, attached_optimizer, scaler=scaler) as attachment:
        for factor in (1.0, INF, 2.0):
            optimizer.zero_grad()
            scaler.scale(loss_of(model, data) * factor).backward()
            attachment.log_values(factor=factor)
            scaler.step(optimizer)
            scaler.update()
    steps = [*gradsound.read_run("run.jsonl").steps]

    assert [step.skipped for step in steps] == [False, True, False]
    assert [step.values["factor"] for step in steps] == [1.0, INF, 2.0]


@BOTH
def test_values_of_a_closure(with_optimizer: bool) -> None:
    """Values that a closure logs during step() are in that step."""
    model = small()
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=2)
    data = torch.Generator().manual_seed(1)
    losses = []
    with gradsound.attach(model, optimizer if with_optimizer else None) as attachment:

        def closure() -> torch.Tensor:
            optimizer.zero_grad()
            loss = loss_of(model, data)
            loss.backward()
            attachment.log_values(loss=loss)
            losses.append(loss.item())
            return loss

        optimizer.step(closure)

    assert values() == [{"loss": losses[-1]}]


def test_log_values_does_nothing_without_a_recording() -> None:
    """After close(), and on ranks that do not record, log_values() does nothing."""
    model = small()
    optimizer = sgd(model)
    with gradsound.attach(model, optimizer) as attachment:
        train(model, optimizer, 1)
    attachment.log_values(loss=1 / 3, text="no warning")
    of_other_rank = Attachment(model, (), None, None)
    of_other_rank.log_values(loss=1 / 3, text="no warning")
    train(model, optimizer, 1)

    assert values() == [{}]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # in torch's own code
def test_compiled_loops_may_log_values() -> None:
    """log_values() outside costs no graph, inside one graph break; no value is lost."""
    torch._dynamo.reset()
    model = small()
    optimizer = sgd(model)
    whole, broken = CompileCounter(), CompileCounter()
    fast = torch.compile(model, backend=whole, fullgraph=True)
    expected = []
    with gradsound.attach(fast, optimizer) as attachment:

        @torch.compile(backend=broken)
        def doubled(x: torch.Tensor) -> torch.Tensor:
            loss = x.square().mean()
            attachment.log_values(inside=loss)
            return 2 * loss

        for k in range(12):
            optimizer.zero_grad()
            loss = fast(torch.full((8, 3), 1 / (k + 1))).mean()
            attachment.log_values(loss=loss)
            inside = doubled(torch.full((3,), 0.5 * k))
            (loss + inside).backward()
            optimizer.step()
            expected.append({"loss": loss.item(), "inside": (0.5 * k) ** 2})

    assert whole.frame_count == 1
    assert broken.frame_count == 2  # before and after
    assert values() == expected


def test_rank_0_alone_records_values(tmp_path) -> None:
    """Only rank 0 records values; a part of a DTensor is no number, and no rank hangs."""
    code = """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor import *
    fully_shard(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    grid = init_device_mesh("cpu", (2,))
    part = torch.tensor([1.0 + rank])
    with gradsound.attach(model, optimizer) as attachment:
        for k in range(2):
            optimizer.zero_grad()
            loss = model(x).square().mean()
            loss.backward()
            attachment.log_values(loss=loss, rank=rank)
            if rank == 0:  # a collective would hang
                attachment.log_values(whole=DTensor.from_local(part, grid, [Replicate()]))
                attachment.log_values(sum=DTensor.from_local(part, grid, [Partial()]))
            else:
                attachment.log_values(sum=None)
            optimizer.step()
"""
    process = run_ranks(code, tmp_path)
    assert process.returncode == 0, process.stderr
    recorded = values()

    assert process.stderr.count("is left out") == 1
    assert "the value 'sum' is left out: " in process.stderr
    assert "got DTensor that is not whole on this rank" in process.stderr
    assert [[*one] for one in recorded] == [["loss", "rank", "whole"]] * 2
    assert [(one["rank"], one["whole"]) for one in recorded] == [(0.0, 1.0)] * 2
    x = torch.arange(24.0).reshape(8, 3)[0::2]
    assert recorded[0]["loss"] == pytest.approx(small()(x).square().mean().item(), rel=1e-6)
