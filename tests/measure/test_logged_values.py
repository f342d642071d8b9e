"""Values beside norms: what is noted is with the step that follows, and nothing waits."""

import copy
import dataclasses
import json
import math
import pickle
import re
import time
import warnings
import weakref
from collections.abc import Callable

import numpy as np
import pytest
import torch
from helpers.models import loss_of, small, train
from helpers.ranks import torchrun
from helpers.runs import make_run
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch._dynamo.testing import CompileCounter

import gradsound
from gradsound.attachment import Attachment
from gradsound.errors import GradsoundWarning, RunFormatError
from gradsound.measure import logged_values, step_queue
from gradsound.measure.async_copy import AsyncCopy
from gradsound.music.moments import merge_steps
from gradsound.runs.json_lines import decode_step, encode_step
from gradsound.runs.model import Step

INF, NAN = math.inf, math.nan
pytestmark = pytest.mark.usefixtures("own_folder")
BOTH = pytest.mark.parametrize("with_optimizer", [True, False])
VALUES = st.dictionaries(st.text(st.characters()), st.floats())  # surrogates too


def sgd(model: nn.Module, **changes: object) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.01, **changes)


def values() -> list[dict[str, float]]:
    """Those in the run file, a dict a step."""
    return [dict(step.values) for step in gradsound.read_run("run.jsonl").steps]


def noted(value: object) -> dict[str, float]:
    """What is in the run of one step for which a value was noted."""
    model = small()
    optimizer = sgd(model)
    with gradsound.attach(model, optimizer) as attachment:
        attachment.log_values(value=value)
        train(model, optimizer, 1)
    (found,) = values()
    return found


class Far(torch.Tensor):
    """A tensor that passes for one on an accelerator, and counts who waits for it."""

    is_cpu = False
    waited = 0

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        waits = ("item", "tolist", "numpy", "cpu", "double", "__float__", "__repr__")
        Far.waited += function.__name__ in waits
        return super().__torch_function__(function, types, args, kwargs)


class Late(AsyncCopy):
    """Figures that arrive when the test says so."""

    arrived = False
    waited = 0

    def _copied(self, tensor: torch.Tensor) -> torch.Tensor:
        assert not tensor.requires_grad
        return torch.Tensor.clone(tensor).as_subclass(torch.Tensor)

    @property
    def ready(self) -> bool:
        return Late.arrived

    def values(self):
        Late.waited += not Late.arrived
        return super().values()


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> Callable[[torch.Tensor], torch.Tensor]:
    """Puts tensors on an accelerator."""
    monkeypatch.setattr(logged_values, "AsyncCopy", Late)
    monkeypatch.setattr(step_queue, "_LAG", 0.0)  # emit whatever is there at each step
    Late.arrived, Late.waited, Far.waited = False, 0, 0
    return lambda tensor: tensor.as_subclass(Far)


# In a loop


@BOTH
def test_values_are_with_the_step_that_follows(with_optimizer: bool) -> None:
    """Each step has what was noted since the one before, the last of each name."""
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


@pytest.mark.parametrize(("value", "wanted"), ONE, ids=lambda value: repr(value))
def test_any_one_number_is_a_value(value: object, wanted: float) -> None:
    """Of Python, numpy or torch, of any type; it is in the file as exactly that."""
    assert noted(value) == {"value": wanted}


@pytest.mark.parametrize(
    ("value", "wanted"), [one for one in ONE if isinstance(one[0], torch.Tensor)]
)
def test_any_one_number_on_an_accelerator(far, value: torch.Tensor, wanted: float) -> None:
    """As in the processor's memory."""
    assert noted(far(value)) == {"value": wanted}
    assert Late.waited == 1  # at the end of the run, which may


class Broken:
    @property
    def shape(self):
        raise KeyError

    def __repr__(self) -> str:
        raise KeyError


@pytest.mark.parametrize(
    ("value", "got"),
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
def test_what_is_no_number_is_left_out(value: object, got: str) -> None:
    """One warning for each name has it and what it should be; the others are recorded."""
    model = small()
    optimizer = sgd(model)
    Far.waited = 0
    with gradsound.attach(model, optimizer) as attachment:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            for _ in range(3):
                attachment.log_values(first=value, loss=1 / 3, second=value)
        train(model, optimizer, 1)
    wanted = "expected a number, or a tensor or array of one, got "

    assert [warning.category for warning in told] == [GradsoundWarning] * 2
    for name, warning in zip(("first", "second"), told):
        said = f"the value '{name}' is left out: {wanted}{got}"
        assert re.fullmatch(said, str(warning.message)), warning.message
    assert values() == [{"loss": 1 / 3}]
    assert Far.waited == 0


def test_warnings_as_errors_do_not_reach_training(capsys) -> None:
    """note() never raises."""
    model = small()
    with gradsound.attach(model) as attachment:
        attachment.log_values(loss=None)  # warnings are errors in all tests
        train(model, sgd(model), 1)

    assert "the value 'loss' is left out" in capsys.readouterr().err


def test_values_are_of_the_moment() -> None:
    """What is changed in place afterwards does not change what was noted."""
    model = small()
    optimizer = sgd(model)
    tensor, array = torch.tensor(1 / 3, dtype=torch.float64), np.array([2 / 3])
    with gradsound.attach(model, optimizer) as attachment:
        attachment.log_values(tensor=tensor, array=array)
        tensor.zero_()
        array[0] = 0.0
        train(model, optimizer, 1)

    assert values() == [{"tensor": 1 / 3, "array": 2 / 3}]


def test_nothing_waits_for_an_accelerator(far) -> None:
    """Its steps come once their values are there, in order, as they were at note()."""
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
    assert (Late.waited, Far.waited) == (0, 0)
    Late.arrived = True
    train(model, optimizer, 1)

    assert values() == [{"loss": 0.25, "other": 0.75, "here": 1 / 3}, {}, {}, {}, {}]
    attachment.close()
    assert (Late.waited, Far.waited) == (0, 0)


class Kept(torch.autograd.Function):
    """An operation whose node has something that can be watched."""

    @staticmethod
    def forward(ctx, x, token):
        ctx.token = token
        return x.clone()

    @staticmethod
    def backward(_, gradient):
        return gradient, None


@pytest.mark.parametrize("where", ["here", "there"])
def test_no_graph_is_kept_alive(far, where: str) -> None:
    """A loss that is noted goes with its graph when the loop lets it go."""
    model = small()
    optimizer = sgd(model)
    token = nn.Identity()  # anything
    with gradsound.attach(model, optimizer) as attachment:
        loss = Kept.apply(loss_of(model, torch.Generator()), token)
        if where == "there":
            loss = far(loss)
        graph, tensor = weakref.ref(token), weakref.ref(loss)
        attachment.log_values(loss=loss)
        del token
        assert graph() is not None  # the loss has it
        del loss

        assert (graph(), tensor()) == (None, None)
        train(model, optimizer, 1)
    assert [*values()[0]] == ["loss"]


@BOTH
@pytest.mark.parametrize("where", ["here", "there"])
def test_training_is_bit_identical(far, where: str, with_optimizer: bool) -> None:
    """With and without values the weights are the same to the last bit."""
    states = []
    for notes in (True, False):
        model = small()
        optimizer = torch.optim.Adam(model.parameters())
        data = torch.Generator().manual_seed(1)
        with gradsound.attach(model, optimizer if with_optimizer else None) as attachment:
            for k in range(20):
                optimizer.zero_grad()
                loss = loss_of(model, data)
                if notes:
                    there = far(loss) if where == "there" else loss
                    attachment.log_values(loss=there, bias=model[2].bias, step=k)
                loss.backward()
                optimizer.step()
        states.append([*model.state_dict().values(), torch.rand(3)])

    assert all(torch.equal(one, other) for one, other in zip(*states))


# Steps that are not as others


def test_values_wait_for_a_step_that_is_measured(monkeypatch) -> None:
    """A step that a budget leaves out leaves its values to the next that it does not."""
    clock = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    model = small()
    optimizer = sgd(model)
    with gradsound.attach(model, optimizer, budget=0.25) as attachment:
        for k in range(5):
            clock[0] += 10.0
            attachment._monitor._budget._due = 0.0 if k in (0, 3) else INF
            attachment.log_values(loss=k, **{f"only{k}": k})
            train(model, optimizer, 1)
    first, second = gradsound.read_run("run.jsonl").steps

    assert (first.number, first.values) == (0, {"loss": 0, "only0": 0})
    assert (second.number, second.values) == (
        3,
        {"loss": 3, "only1": 1, "only2": 2, "only3": 3},
    )


def test_steps_of_others_take_no_values() -> None:
    """An optimizer that trains something else is no step of the run."""
    model, other = small(), small()
    with gradsound.attach(model) as attachment:
        attachment.log_values(loss=1 / 3)
        train(other, sgd(other), 2)
        train(model, sgd(model), 2)

    assert values() == [{"loss": 1 / 3}, {}]


@BOTH
@pytest.mark.parametrize("fused", [True, False])
def test_skipped_steps_have_values(with_optimizer: bool, fused: bool) -> None:
    """Those of the scaler's bad batch are with the step that it skipped."""
    model = small()
    optimizer = sgd(model, fused=fused)
    scaler = torch.amp.GradScaler("cpu")
    data = torch.Generator().manual_seed(1)
    given = optimizer if with_optimizer else None
    with gradsound.attach(model, given, scaler=scaler) as attachment:
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
    """What is noted while step() runs the closure is of that step."""
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


def test_nothing_is_noted_where_nothing_is_recorded() -> None:
    """After close(), and on other ranks, note() does nothing, whatever it is given."""
    model = small()
    optimizer = sgd(model)
    with gradsound.attach(model, optimizer) as attachment:
        train(model, optimizer, 1)
    attachment.log_values(loss=1 / 3, text="no warning")
    Attachment(model, None, None, None).log_values(
        loss=1 / 3, text="no warning"
    )  # another rank
    train(model, optimizer, 1)

    assert values() == [{}]
    assert not attachment._monitor._logged.take()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's own code
def test_compiled_loops_may_note() -> None:
    """Outside it costs no graph; inside, note() is one break, and each value is there."""
    torch._dynamo.reset()
    model = small()
    optimizer = sgd(model)
    whole, broken = CompileCounter(), CompileCounter()
    fast = torch.compile(model, backend=whole, fullgraph=True)
    wanted = []
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
            wanted.append({"loss": loss.item(), "inside": (0.5 * k) ** 2})

    assert whole.frame_count == 1
    assert broken.frame_count == 2  # before and after
    assert values() == wanted


def test_of_several_ranks_the_first_notes(tmp_path) -> None:
    """What others note goes nowhere; a part of a tensor is no value, and none waits."""
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
    done = torchrun(code, tmp_path)
    assert done.returncode == 0, done.stderr
    found = values()

    assert done.stderr.count("is left out") == 1
    assert "the value 'sum' is left out: " in done.stderr
    assert "got DTensor that is not whole on this rank" in done.stderr
    assert [[*one] for one in found] == [["loss", "rank", "whole"]] * 2
    assert [(one["rank"], one["whole"]) for one in found] == [(0.0, 1.0)] * 2
    x = torch.arange(24.0).reshape(8, 3)[0::2]
    assert found[0]["loss"] == pytest.approx(small()(x).square().mean().item(), rel=1e-6)


# In a run


def step(values: dict[str, float], number: int = 3) -> Step:
    """A step of one layer."""
    norms, absent = np.ones(1, np.float32), np.zeros(1, bool)
    return Step(number, 0.5, norms, absent, values=values)


@given(VALUES)
def test_values_round_trip(values: dict[str, float]) -> None:
    """Every float64 and every name is read as it was written, and lines are JSON."""
    line = encode_step(step(values))
    read = decode_step(line, 1, 2).values

    json.loads(line, parse_constant=pytest.fail)
    assert line.count(b"\n") == 1
    assert [*read] == [*values]
    assert [*map(repr, read.values())] == [*map(repr, values.values())]


def test_figures_of_numpy_are_written_too() -> None:
    """A step that somebody makes of a whole number or a numpy scalar can be written."""
    line = encode_step(step({"a": np.float32(0.1), "b": 3, "c": np.float64(1 / 3)}))

    assert (
        b'"values": {"a": 0.10000000149011612, "b": 3.0, "c": 0.3333333333333333}' in line
    )


def test_steps_without_values_are_as_they_were() -> None:
    """Nothing is added to their lines; what they have instead cannot be changed."""
    plain = Step(3, 0.5, np.ones(1, np.float32), np.zeros(1, bool))

    assert encode_step(plain) == b'{"step": 3, "time": 0.500000, "norms": [1]}\n'
    assert encode_step(step({})) == encode_step(plain)
    assert decode_step(encode_step(plain), 1, 2).values == {}
    assert (len(plain.values), [*plain.values], str(plain.values)) == (0, [], "{}")
    assert plain.values.get("loss") is None
    with pytest.raises(TypeError):
        plain.values["loss"] = 1.0
    for same in (copy.deepcopy(plain), pickle.loads(pickle.dumps(plain))):  # noqa: S301
        assert same.values == plain.values == {}
    assert dataclasses.asdict(plain)["values"] == {}


GOOD = {"step": 3, "time": 1 / 3, "norms": [1 / 3]}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([1.0], r'expected "values": numbers by name, got \[1.0\]'),
        (1.0, 'expected "values": numbers by name, got 1.0'),
        ("NaN", "expected \"values\": numbers by name, got 'NaN'"),
        (False, 'expected "values": numbers by name, got False'),
        ({"a": 1, "loss": None}, "the value 'loss' to be a float64, .* got None"),
        ({"loss": True}, "'loss' .* got True"),
        ({"loss": "nan"}, "'loss' .* got 'nan'"),
        ({"loss": "1.0"}, "'loss' .* got '1.0'"),
        ({"loss": [1.0]}, r"'loss' .* got \[1.0\]"),
        ({"loss": {}}, r"'loss' .* got \{\}"),
        ({"loss": 10**400}, "'loss' .* got 1000"),
        ({"": -(2**1024)}, "the value '' to be .* got -1797"),
    ],
)
def test_wrong_values_are_named(given: object, message: str) -> None:
    """A step with one wrong value is refused with its name and what it should be."""
    with pytest.raises(RunFormatError, match=message):
        decode_step(json.dumps(GOOD | {"values": given}).encode(), 1, 2)


@pytest.mark.parametrize("number", [b"1e400", b"-1e400", b"NaN", b"Infinity"])
def test_what_json_cannot_say_is_refused(number: bytes) -> None:
    """A number too large for a float is not infinity, and NaN is a text."""
    line = b'{"step": 3, "time": 1, "norms": [1], "values": {"loss": %s}}' % number
    with pytest.raises(RunFormatError, match="expected"):
        decode_step(line, 1, 2)


def test_absent_values_are_none() -> None:
    """As with other keys, null is as good as nothing; whole numbers are floats."""
    for value, wanted in ((None, {}), ({}, {}), ({"a": 2**53}, {"a": 2.0**53})):
        line = json.dumps(GOOD | {"values": value}).encode()
        assert decode_step(line, 1, 2).values == wanted


def test_selecting_layers_keeps_values() -> None:
    """They are the step's, not a layer's."""
    run = make_run([[1.0, 2.0]] * 2)
    steps = [dataclasses.replace(one, values={"loss": one.number}) for one in run.steps]
    chosen = dataclasses.replace(run, steps=steps).select("layer1")

    assert [one.values for one in chosen.steps] == [{"loss": 0}, {"loss": 1}]


@pytest.mark.parametrize(
    ("earlier", "later", "wanted"),
    [
        ({}, {}, {}),
        ({"a": 1.0}, {}, {"a": 1.0}),
        ({}, {"a": 2.0}, {"a": 2.0}),
        ({"a": 9.0, "b": 1.0}, {"a": 2.0, "c": 3.0}, {"a": 2.0, "b": 1.0, "c": 3.0}),
        ({"a": INF}, {"a": 2.0}, {"a": INF}),
        ({"a": 2.0}, {"a": INF}, {"a": INF}),
        ({"a": INF}, {"a": -INF}, {"a": -INF}),
        ({"a": NAN}, {"a": 2.0}, {"a": NAN}),
        ({"a": 2.0}, {"a": NAN}, {"a": NAN}),
        ({"a": NAN}, {"a": INF}, {"a": NAN}),
        ({"a": INF}, {"a": NAN}, {"a": NAN}),
        ({"a": NAN}, {}, {"a": NAN}),
    ],
)
def test_gathered_steps_have_the_later_values(earlier, later, wanted) -> None:
    """But one that is not finite is heard, wherever among thousands it was."""
    before = dict(earlier), dict(later)
    found = merge_steps(step(earlier), step(later, 4)).values

    np.testing.assert_equal(dict(found), wanted)
    np.testing.assert_equal((earlier, later), before)
