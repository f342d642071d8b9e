"""Steps that machine code measures alone, as long as each is like the one before."""

import gc
import signal
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from itertools import count
from pathlib import Path
from types import BuiltinFunctionType

import numpy as np
import pytest
import torch
from helpers.models import loss_of, sgd, small, train, true_norm
from helpers.monitors import StepCollector
from torch import nn

import gradsound
from gradsound.measure.hooks import repeated_steps
from gradsound.measure.hooks.repeated_steps import RepeatedSteps
from gradsound.measure.step_queue import StepQueue

STEPS = 30


class Training:
    """A recorded training that keeps the true norms of each step.

    Args:
        change: Called before each step with this training and the number of the step.
        options: Options of SGD.
    """

    def __init__(
        self,
        change: Callable[["Training", int], object] = lambda *_: None,
        **options: object,
    ) -> None:
        self.model = small()
        self.optimizer = sgd(self.model, **options)
        self.collector = StepCollector(self.model, self.optimizer)
        self.monitor = self.collector.monitor
        self.monitor.queue._next_emission = 1e300  # only what changes calls Python
        self.change, self.expected = change, []

    def train(self, steps: int = STEPS) -> None:
        """Trains, and compares the recorded steps with the true norms."""
        self.run(steps)
        assert [step.number for step in self.collector.steps] == [*range(steps)]
        norms = np.nan_to_num(self.collector.norms)  # NaN where there is no gradient
        np.testing.assert_allclose(norms, self.expected, rtol=1e-6)

    def run(self, steps: int) -> None:
        """Trains, and keeps the true norms."""
        data = torch.Generator().manual_seed(1)
        for k in range(steps):
            self.optimizer.zero_grad()
            loss_of(self.model, data).backward()
            self.change(self, k)
            self.expected.append([true_norm(self.model[0]), true_norm(self.model[2])])
            self.optimizer.step()

    @property
    def repeated(self) -> int:
        """How many steps machine code measured alone."""
        return self.monitor.repeated.step_count


def test_most_steps_of_a_training_are_repeated() -> None:
    """Python measures the first two steps; the others differ in nothing but their norms."""
    training = Training()
    training.train()

    assert training.repeated == STEPS - 2
    times = [step.time for step in training.collector.steps]
    assert times == sorted(times)
    assert 0 < times[2] < times[-1] < 60


def test_more_steps_than_there_is_room() -> None:
    """Python makes room, and no step is lost."""
    training = Training()
    training.train(2500)

    assert 2400 < training.repeated < 2500


def test_weights_are_as_without_a_monitor() -> None:
    """Bit by bit."""
    training = Training()
    training.train()
    model = small()
    train(model, sgd(model), STEPS)

    assert training.repeated
    for weight, other in zip(training.model.parameters(), model.parameters()):
        assert torch.equal(weight, other)


def replace_parameter(training: Training, _: int) -> None:
    """Puts another parameter into the model and into the middle of the group."""
    layer, own = training.model[0], training.optimizer.param_groups[0]["params"]
    new = nn.Parameter(layer.bias.detach().clone())
    new.grad = 2 * layer.bias.grad
    own[1], layer.bias = new, new


def replace_list(training: Training, _: int) -> None:
    """Gives the group a new list of new parameters."""
    for layer in (training.model[0], training.model[2]):
        new = nn.Parameter(layer.weight.detach().clone())
        new.grad = 3 * layer.weight.grad
        layer.weight = new
    training.optimizer.param_groups[0]["params"] = [*training.model.parameters()]


def add_group(training: Training, _: int) -> None:
    """Adds a parameter to the model and to the optimizer."""
    layer = training.model[2]
    new = nn.Parameter(torch.ones(2))
    new.grad = torch.tensor([3.0, 4.0])
    layer.register_parameter("other", new)
    training.optimizer.add_param_group({"params": [new]})


def load_state(training: Training, _: int) -> None:
    """Makes new groups and lists, with the same parameters."""
    training.optimizer.load_state_dict(training.optimizer.state_dict())


def drop_gradient(training: Training, _: int) -> None:
    training.model[0].weight.grad = None


def to_float64(training: Training, _: int) -> None:
    for parameter in training.model.parameters():
        gradient = parameter.grad.double()
        parameter.grad = None
        parameter.data = parameter.data.double()
        parameter.grad = gradient
    training.model[0].register_forward_pre_hook(lambda _, args: args[0].double())


def to_strided(training: Training, _: int) -> None:
    weight = training.model[2].weight
    weight.grad = torch.stack([weight.grad, weight.grad], dim=2)[..., 0]


def to_subclass(training: Training, _: int) -> None:
    weight = training.model[0].weight
    weight.grad = weight.grad.as_subclass(nn.Buffer)


def new_tensor(training: Training, _: int) -> None:
    weight = training.model[0].weight
    weight.grad = 5 * weight.grad


def read_otherwise(training: Training, _: int) -> None:
    training.monitor.reader.read_again(set())


ONCE = replace_parameter, replace_list, add_group, load_state, to_float64
ANY_TIME = drop_gradient, to_strided, to_subclass, new_tensor, load_state, read_otherwise


@pytest.mark.filterwarnings("ignore::gradsound.GradsoundWarning")  # of a layer that is gone
@pytest.mark.parametrize("change", ONCE)
def test_a_change_counts_at_once(change: Callable[[Training, int], object]) -> None:
    """Norms are right at the step of the change, and at each step after it."""
    training = Training(lambda own, k: change(own, k) if k == 10 else None)
    training.train()

    if change is to_float64:  # which torch reads
        assert training.repeated == 8
    else:
        assert training.repeated > 20


@pytest.mark.parametrize("change", ANY_TIME)
def test_changes_again_and_again(change: Callable[[Training, int], object]) -> None:
    """Norms are right, with steps that are repeated and others."""
    training = Training(lambda own, k: change(own, k) if k % 5 == 0 else None)
    training.train()

    assert training.repeated > 6


def test_logged_values_belong_to_their_steps() -> None:
    """Machine code leaves the steps with values to Python, and no others."""

    def log(training: Training, number: int) -> None:
        if number % 7 == 3:
            training.monitor.log_values({"loss": number})

    training = Training(log)
    training.train()
    values = {step.number: step.values for step in training.collector.steps if step.values}

    assert values == {k: {"loss": float(k)} for k in (3, 10, 17, 24)}
    assert training.repeated > 15


def test_a_value_that_comes_while_the_repetition_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It belongs to the next step, also if a thread or a signal handler logs it then."""
    begin = RepeatedSteps._remember
    logged = []

    def log(repeated: RepeatedSteps, *args: object) -> None:
        begin(repeated, *args)  # type: ignore[arg-type]
        training.monitor.log_values({"loss": 1.0})
        logged.append(training.monitor.steps)

    monkeypatch.setattr(RepeatedSteps, "_remember", log)
    training = Training()
    training.train()

    assert [k for k, step in enumerate(training.collector.steps) if step.values] == logged
    assert len(logged) > 5


@pytest.mark.filterwarnings("ignore::gradsound.GradsoundWarning")  # of a layer that is gone
@pytest.mark.parametrize("at", range(4))
def test_a_parameter_that_was_replaced_before_the_repetition_begins(at: int) -> None:
    """No repeated step is wrong, even if the old parameter lives on."""
    old = []

    def replace(training: Training, number: int) -> None:
        if number == at:
            old.append(training.model[0].bias)
            replace_parameter(training, number)

    training = Training(replace)
    training.run(STEPS)
    wrong = ~np.isclose(training.collector.norms, training.expected, rtol=1e-6).all(axis=1)

    assert {*wrong.nonzero()[0]} <= {at, 1}
    assert training.repeated > 20


@pytest.mark.filterwarnings("ignore::gradsound.GradsoundWarning")
def test_parameters_that_are_replaced_at_two_steps_in_a_row() -> None:
    """Both are measured at once, although the old ones live on."""
    old = []

    def replace(training: Training, number: int) -> None:
        if number in {20, 21}:
            old.append(training.model[0].bias)
            replace_parameter(training, number)

    training = Training(replace)
    training.run(STEPS)

    np.testing.assert_allclose(training.collector.norms, training.expected, rtol=1e-6)
    assert training.repeated > 20


def raise_interrupt(_: Training) -> None:
    raise KeyboardInterrupt


def emit(training: Training) -> None:
    training.monitor.emit_ready()


@pytest.mark.parametrize("handle", [raise_interrupt, emit])
@pytest.mark.parametrize("when", ["before", "amid", "after"])
def test_a_signal_while_steps_are_queued(
    when: str, handle: Callable[[Training], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All steps but one that an exception ends arrive once and in order."""
    training = Training()
    training.run(10)
    assert training.repeated
    owner, name = {
        "before": (training.monitor.repeated, "take"),
        "amid": (repeated_steps, "PendingBlock"),
        "after": (training.monitor.tracker, "count_steps"),
    }[when]
    function, calls = getattr(owner, name), count()

    def interrupted(*args: object) -> object:
        if not next(calls):
            handle(training)
        return function(*args)

    monkeypatch.setattr(owner, name, interrupted)
    training.monitor.log_values({"loss": 1.0})  # ends the repetition at the next step
    with pytest.raises(KeyboardInterrupt) if handle is raise_interrupt else nullcontext():
        training.run(1)
    training.run(20 - training.monitor.steps)
    steps = training.collector.steps
    assert [step.number for step in steps] == [*range(20)]
    assert [step.number for step in steps if step.values] == [10]


@pytest.mark.parametrize("by_hook", [True, False])
def test_an_error_of_the_emission(*, by_hook: bool) -> None:
    """Machine code measures nothing for a monitor that has stopped."""
    training = Training()
    training.run(10)

    def fail(_: object) -> None:
        raise OSError("no space left")

    training.monitor.queue.emit = fail
    training.monitor.queue._next_emission = 0.0
    training.monitor.repeated._steps.due = 0.0
    if by_hook:
        training.monitor.log_values({"loss": 1.0})
    with pytest.warns(gradsound.GradsoundWarning, match="no space left"):
        train(training.model, training.optimizer, 1)
    repeated = training.repeated
    train(training.model, training.optimizer, 10)
    assert training.repeated == repeated
    hooks = training.optimizer._optimizer_step_pre_hooks.values()
    assert not any(isinstance(hook, BuiltinFunctionType) for hook in hooks)


def test_clipping_now_and_then() -> None:
    """A clipped step has norms from before and after the clipping."""

    def clip(training: Training, number: int) -> None:
        if number % 6 == 4:
            nn.utils.clip_grad_norm_(training.model.parameters(), 1e-3)

    training = Training(clip)
    training.train()

    clipped = [step.number for step in training.collector.steps if step.raw is not None]
    assert clipped == [4, 10, 16, 22, 28]
    assert training.repeated > 10


def test_closures_now_and_then() -> None:
    """A step with a closure is measured after the closure, by Python."""
    training = Training()
    data = torch.Generator().manual_seed(1)

    def closure() -> torch.Tensor:
        training.optimizer.zero_grad()
        loss = loss_of(training.model, data)
        loss.backward()
        return loss

    for k in range(STEPS):
        if k % 5 == 4:
            training.optimizer.step(closure)
        else:
            closure()
            training.optimizer.step(*([None] if k % 2 else []))
        training.expected.append(
            [true_norm(training.model[0]), true_norm(training.model[2])]
        )
    steps = training.collector.steps
    assert [step.number for step in steps] == [*range(STEPS)]
    np.testing.assert_allclose([step.norms for step in steps], training.expected, rtol=1e-6)
    assert 5 < training.repeated < 24


@pytest.mark.parametrize(
    "options", [{"budget": 0.5}, {"signals": ["zeros"]}], ids=["budget", "signals"]
)
def test_python_measures_what_needs_more(options: dict[str, object]) -> None:
    """With a budget or signals, each step needs more than the norms."""
    model = small()
    optimizer = sgd(model)
    collector = StepCollector(model, optimizer, **options)
    train(model, optimizer, 10)

    assert collector.steps
    assert collector.monitor.repeated.step_count == 0


def test_a_hook_that_is_removed() -> None:
    """close() in the middle leaves nothing in torch, and the training goes on."""
    training = Training()
    training.train(10)
    assert training.repeated
    training.monitor.close()

    assert not training.optimizer._optimizer_step_pre_hooks
    train(training.model, training.optimizer, 3)
    assert len(training.collector.steps) == 10


def test_closing_inside_of_a_step() -> None:
    """The built-in function stays until the step ends, and measures nothing any more."""
    training = Training()
    closes = [False]
    training.optimizer.register_step_pre_hook(
        lambda *_: training.monitor.close() if closes[0] else None
    )
    training.train(10)
    closes[0] = True
    train(training.model, training.optimizer, 3)

    assert len(training.collector.steps) == 11
    assert training.repeated


def test_nothing_keeps_the_model_or_the_optimizer(tmp_path: Path) -> None:
    """Both go when the user drops them, without a garbage collection."""
    model = small()
    optimizer = sgd(model)
    attachment = gradsound.attach(model, optimizer, log=tmp_path / "run.jsonl")
    train(model, optimizer, 10)
    assert attachment._monitor.repeated.step_count
    references = weakref.ref(model), weakref.ref(optimizer)
    gc.disable()
    try:
        del model, optimizer
        assert [reference() for reference in references] == [None, None]
    finally:
        gc.enable()
    assert len([*gradsound.read_run(tmp_path / "run.jsonl").steps]) == 10


def test_emissions_by_another_thread() -> None:
    """Steps arrive once and in order, while a thread takes them as they come."""
    training = Training()
    ends = threading.Event()

    def emit() -> None:
        while not ends.wait(1e-4):
            training.monitor.emit_ready()

    thread = threading.Thread(target=emit)
    thread.start()
    try:
        training.train(1500)
    finally:
        ends.set()
        thread.join()
    assert training.repeated > 1400


def test_emissions_by_a_signal_handler() -> None:
    """The same, if a handler interrupts the training thread anywhere."""
    training = Training()
    handler = signal.signal(signal.SIGALRM, lambda *_: training.monitor.emit_ready())
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    try:
        training.train(1500)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
    assert training.repeated > 1000


def test_another_clock_than_that_of_the_machine_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Then Python measures each step."""
    monkeypatch.setattr(
        "gradsound.measure.hooks.repeated_steps._CLOCK", "mach_absolute_time()"
    )
    training = Training()
    training.train()

    assert not training.repeated


def test_an_emission_that_is_due() -> None:
    """Machine code emits the step at which that is due, with those before it."""
    training = Training()
    training.monitor.queue._next_emission = time.perf_counter() + 0.1
    train(training.model, training.optimizer, 10)
    assert training.repeated == 8
    assert not training.collector.emitted
    time.sleep(0.1)
    train(training.model, training.optimizer, 1)
    assert training.repeated == 9
    assert [step.number for step in training.collector.emitted] == [*range(11)]


def test_the_look_at_the_model_every_100_steps() -> None:
    """The hook finds what only the model tells, also if machine code emits each step."""
    training = Training()
    training.monitor.queue = training.monitor.repeated._queue = StepQueue(
        training.monitor.queue.emit, max_delay=0.0
    )
    # So the gradients of the layer that is replaced stay, and it alone is no longer there.
    zero_grad = training.optimizer.zero_grad
    training.optimizer.zero_grad = partial(zero_grad, set_to_none=False)
    training.run(50)
    old = training.model[0]
    training.model[0] = nn.Linear(old.in_features, old.out_features)
    with pytest.warns(gradsound.GradsoundWarning, match="layer '0': replaced in the model"):
        training.run(60)
    assert training.repeated > 90
