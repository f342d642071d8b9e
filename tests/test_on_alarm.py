"""attach(on_alarm=...): between two steps, once for each alarm, and StopTraining."""

import gc
import os
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import chain
from pathlib import Path

import pytest
import torch
from helpers.models import loss_of, sgd, small
from helpers.monitors import attach_with_parts
from torch import nn

import gradsound
from gradsound.alarms.run_detector import RunDetector
from gradsound.errors import GradsoundWarning
from gradsound.measure.hooks.parts import MonitorParts
from gradsound.measure.pending_step import PendingBlock, PendingStep
from gradsound.measure.step_queue import StepQueue

pytestmark = [
    pytest.mark.usefixtures("own_folder"),
    pytest.mark.filterwarnings("ignore:.*script_method:DeprecationWarning"),  # torch's own
]
BAD, STEPS = 5, 9  # the step with NaN; steps of a training
EVERY_STEP = MonitorParts(queue=partial(StepQueue, max_delay=0))  # no batches of steps


@pytest.fixture
def _every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    attach_with_parts(monkeypatch, EVERY_STEP)


every_step = pytest.mark.usefixtures("_every_step")


def stop(alarm: gradsound.Alarm) -> None:
    if alarm.kind == "nonfinite":
        raise gradsound.StopTraining(alarm.text)


def spoil(model: nn.Module) -> None:
    """Makes one gradient NaN that the training applies."""
    model[0].weight.grad[0, 0] = torch.nan


class Training:
    """A training of a small model whose gradient at step BAD is NaN.

    Attributes:
        begun: How many steps began.
        weights: The weights before each step, and at the end.
    """

    def __init__(self) -> None:
        self.model, self.data = small(), torch.Generator().manual_seed(1)
        self.begun, self.weights = 0, []

    def backward(self) -> torch.Tensor:
        self.model.zero_grad()
        loss = loss_of(self.model, self.data)
        loss.backward()
        if self.begun == BAD + 1:
            spoil(self.model)
        return loss

    def current(self) -> list[torch.Tensor]:
        return [parameter.detach().clone() for parameter in self.model.parameters()]

    def train(self, step: Callable[[], object], *, closure: bool = False) -> None:
        for _ in range(STEPS):
            self.begun += 1
            self.weights.append(self.current())
            if not closure:
                self.backward()
            step()
        self.weights.append(self.current())


def equal(some: list[torch.Tensor], others: list[torch.Tensor]) -> bool:
    return all(map(partial(torch.allclose, equal_nan=True, rtol=0, atol=0), some, others))


class Outer(torch.optim.SGD):
    """A subclass of a subclass that calls super().step()."""

    def step(self, closure: Callable[[], float] | None = None) -> None:
        super().step(closure)


class Doubling(torch.optim.SGD):
    """Evaluates its closure before the update and after it; counts the steps that ended."""

    ended = 0

    def step(self, closure: Callable[[], torch.Tensor]) -> None:
        closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.data -= group["lr"] * parameter.grad
        closure()
        self.ended += 1


class Wrapper:
    """A wrapper without hooks, as of Accelerate, which does something after the step."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer, self.param_groups = optimizer, optimizer.param_groups

    def step(self) -> None:
        self.optimizer.step()


def plain(training: Training) -> tuple[object, Callable[[], object]]:
    optimizer = sgd(training.model)
    return optimizer, optimizer.step


def any_optimizer(training: Training) -> tuple[object, Callable[[], object]]:
    return None, plain(training)[1]


def subclass(training: Training) -> tuple[object, Callable[[], object]]:
    optimizer = Outer(training.model.parameters(), lr=0.01)
    return optimizer, optimizer.step


def wrapper(training: Training) -> tuple[object, Callable[[], object]]:
    optimizer = Wrapper(sgd(training.model))
    return optimizer, optimizer.step


def several(training: Training) -> tuple[object, Callable[[], object]]:
    optimizers = [sgd(training.model[0]), sgd(training.model[2], momentum=0.9)]
    return optimizers, lambda: [optimizer.step() for optimizer in optimizers]


def several_unnamed(training: Training) -> tuple[object, Callable[[], object]]:
    return None, several(training)[1]


def compiled(training: Training) -> tuple[object, Callable[[], object]]:
    optimizer = sgd(training.model)
    return optimizer, torch.compile(optimizer.step, backend="eager")


WAYS = [plain, any_optimizer, subclass, wrapper, several, several_unnamed, compiled]


@every_step
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_stop_training_leaves_before_the_step(way: Callable[..., object]) -> None:
    """The weights are those before the step of the alarm, whole; the run is complete."""
    reference, training = Training(), Training()
    reference.train(way(reference)[1])
    optimizer, step = way(training)
    attachment = gradsound.attach(training.model, optimizer, on_alarm=stop)
    with pytest.raises(gradsound.StopTraining, match="NaN in 0"):
        training.train(step)

    assert training.begun == BAD + 1
    assert equal(training.current(), reference.weights[BAD])
    assert getattr(attachment._monitor, "outer_step", None) is None  # it knows the weights
    attachment.close()
    assert [s.number for s in gradsound.read_run("run.jsonl").steps] == [*range(BAD + 1)]
    assert attachment.alarms[-1].step == BAD


@every_step
@pytest.mark.parametrize("named", [True, False])
def test_stop_training_leaves_after_a_step_with_a_closure(named: bool) -> None:
    """A closure makes the gradients within the step, so the weights are those after it."""
    training = Training()
    optimizer = Doubling(training.model.parameters(), lr=0.01)
    attachment = gradsound.attach(
        training.model, optimizer if named else None, on_alarm=stop
    )
    with attachment, pytest.raises(gradsound.StopTraining):
        training.train(lambda: optimizer.step(training.backward), closure=True)

    assert training.begun == BAD + 1
    assert training.model[0].weight.isnan().sum() == 1
    changed = zip(training.current(), training.weights[BAD])
    assert not any(torch.equal(*pair) for pair in changed)
    assert optimizer.ended == BAD + 1
    assert len([*gradsound.read_run("run.jsonl").steps]) == BAD + 1


@every_step
@pytest.mark.parametrize("named", [True, False])
def test_stop_training_leaves_lbfgs(named: bool) -> None:
    """The step of the alarm is whole, so the training can go on as without gradsound."""
    trainings = [Training(), Training()]
    lbfgs = partial(torch.optim.LBFGS, lr=0.1, max_iter=3)
    optimizer, reference = (lbfgs(one.model.parameters()) for one in trainings)

    def stop_always(alarm: gradsound.Alarm) -> None:
        raise gradsound.StopTraining(alarm.text)

    model = trainings[0].model
    with gradsound.attach(model, optimizer if named else None, on_alarm=stop_always) as one:
        for _ in range(3):
            optimizer.step(trainings[0].backward)
        one.log_values(loss=torch.nan)
        with pytest.raises(gradsound.StopTraining, match="the loss is NaN"):
            optimizer.step(trainings[0].backward)
        optimizer.step(trainings[0].backward)
    for _ in range(5):
        reference.step(trainings[1].backward)
    assert equal(trainings[0].current(), trainings[1].current())
    assert len([*gradsound.read_run("run.jsonl").steps]) == 5


@pytest.mark.parametrize("named", [True, False])
def test_no_stop_between_two_optimizers_of_one_step(
    named: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An alarm that a look finds between them waits until both have stepped."""
    attach_with_parts(monkeypatch, MonitorParts(queue=partial(StepQueue, max_delay=1e9)))
    training = Training()
    optimizers, _ = several(training)

    def step() -> None:
        optimizers[0].step()
        if training.begun == BAD + 1:
            assert attachment.alarms
        optimizers[1].step()

    attachment = gradsound.attach(
        training.model, optimizers if named else None, on_alarm=stop
    )
    # All steps after the first wait for the look.
    attachment._monitor.queue._next_emission = 1e300
    with attachment, pytest.raises(gradsound.StopTraining):
        training.train(step)
    assert training.begun == BAD + 2
    assert equal(training.current(), training.weights[-1])


def test_a_look_in_a_signal_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look while steps are being emitted puts no step out of order."""
    training = Training()
    optimizer, step = plain(training)
    attachment = gradsound.attach(training.model, optimizer)

    def is_interrupted(_: PendingStep | PendingBlock) -> bool:
        assert isinstance(attachment.alarms, tuple)  # as by a handler
        looks.append(1)
        return True

    looks: list[int] = []
    monkeypatch.setattr(PendingStep, "is_plain", property(is_interrupted))
    monkeypatch.setattr(PendingBlock, "ready", property(is_interrupted))
    attachment._monitor.queue._next_emission = 1e300  # all steps wait
    training.train(step)
    attachment._monitor.emit_ready()
    attachment.close()
    numbers = [step.number for step in gradsound.read_run("run.jsonl").steps]
    assert numbers == [*range(STEPS)]
    assert len(looks) >= 3  # two steps, and the block of those that machine code measured
    assert [alarm.step for alarm in attachment.alarms] == [BAD]


@every_step
def test_optimizers_within_the_backward_pass() -> None:
    """StopTraining leaves backward(), when every optimizer has stepped."""
    model, data = small(), torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        optimizer = torch.optim.SGD([parameter], lr=0.01)

        def step(p: torch.Tensor, optimizer=optimizer) -> None:
            optimizer.step()
            p.grad = None

        parameter.register_post_accumulate_grad_hook(step)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    with gradsound.attach(model, on_alarm=stop):
        loss_of(model, data).backward()
        with pytest.raises(gradsound.StopTraining):
            (loss_of(model, data) * torch.nan).backward()

    changed = [not torch.equal(*pair) for pair in zip(before, model.parameters())]
    assert all(changed)
    assert all(p.isnan().any() for p in model.parameters())
    assert len([*gradsound.read_run("run.jsonl").steps]) == 2


@every_step
@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("kind", ["nonfinite", "skipped"])
def test_stop_training_under_a_scaler(kind: str, named: bool) -> None:
    """It leaves scaler.step(): before the update, or after the scaler skipped it."""
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    model, data = small(), torch.Generator().manual_seed(1)
    optimizer = sgd(model)

    def stop_at(alarm: gradsound.Alarm) -> None:
        raise gradsound.StopTraining(alarm.kind)

    weights = []

    def train() -> None:
        for k in range(STEPS):
            weights[:] = [parameter.detach().clone() for parameter in model.parameters()]
            optimizer.zero_grad()
            scaler.scale(loss_of(model, data)).backward()
            if k == BAD and kind == "nonfinite":
                scaler.unscale_(optimizer)
                spoil(model)  # after the scaler looked
            elif k == BAD:
                spoil(model)
            scaler.step(optimizer)
            scaler.update()

    options = {"scaler": scaler, "on_alarm": stop_at}
    attachment = gradsound.attach(model, optimizer if named else None, **options)
    with attachment, pytest.raises(gradsound.StopTraining, match=kind):
        train()

    assert equal(weights, [*model.parameters()])
    steps = [*gradsound.read_run("run.jsonl").steps]
    assert [step.skipped for step in steps] == [False] * BAD + [kind == "skipped"]
    assert "step" not in vars(scaler)


@every_step
def test_a_training_that_throws_every_step_away() -> None:
    """No step follows, so StopTraining leaves the function that clips."""
    model = small()
    optimizer, data = sgd(model), torch.Generator().manual_seed(1)

    def stop_at(alarm: gradsound.Alarm) -> None:
        raise gradsound.StopTraining(alarm.text)

    def train() -> None:
        for _ in range(STEPS):
            (loss_of(model, data) * torch.nan).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.zero_grad()

    attachment = gradsound.attach(model, optimizer, on_alarm=stop_at)
    with attachment, pytest.raises(gradsound.StopTraining, match="thrown away"):
        train()
    assert next(step.discarded for step in gradsound.read_run("run.jsonl").steps)


@every_step
def test_each_alarm_once_in_the_training_thread_between_steps() -> None:
    """The function hears what attachment.alarms has, never within itself or a step."""
    training, heard, within = Training(), [], []
    optimizer, step = plain(training)

    def on_alarm(alarm: gradsound.Alarm) -> None:
        heard.append((alarm, threading.get_ident(), training.begun, len(within)))
        within.append(alarm)
        assert attachment.alarms[-1] == alarm
        assert equal(training.current(), training.weights[-1])
        if len(heard) == 1:  # an alarm that the function causes waits until it returns
            attachment.log_values(loss=torch.nan)
            optimizer.step()
        time.sleep(0.05)  # a slow function takes the user's own time
        within.pop()

    with gradsound.attach(training.model, optimizer, on_alarm=on_alarm) as attachment:
        training.train(step)
    alarms, threads, _, depths = zip(*heard)

    assert alarms == attachment.alarms
    assert [alarm.text for alarm in alarms] == ["NaN in 0", "the loss is NaN"]
    assert set(threads) == {threading.get_ident()}
    assert set(depths) == {0}
    assert heard[0][2] == BAD + 1  # at the step itself, not later


@every_step
def test_a_function_that_raises_is_told_once() -> None:
    """One warning has the exception; the training and later calls go on."""
    training, heard = Training(), []

    def fail(alarm: gradsound.Alarm) -> None:
        heard.append(alarm)
        raise KeyError(alarm.kind)

    optimizer, step = plain(training)

    def train() -> None:
        training.train(step)
        for parameter in training.model.parameters():
            parameter.data.nan_to_num_()
        training.train(step)

    attachment = gradsound.attach(training.model, optimizer, on_alarm=fail)
    sentence = r"on_alarm raised KeyError.*'NaN in 0' of step 5"
    with attachment, pytest.warns(GradsoundWarning, match=sentence) as caught:
        train()
    assert len(heard) == len(attachment.alarms) > 1
    assert len([w for w in caught if "on_alarm" in str(w.message)]) == 1
    assert training.begun == 2 * STEPS


def test_weights_are_bit_identical_with_a_function() -> None:
    """With and without on_alarm and looks, the weights are equal to the last bit."""
    trainings = [Training(), Training()]
    for training, attached in zip(trainings, (True, False)):
        optimizer = torch.optim.Adam(training.model.parameters())
        if not attached:
            training.train(optimizer.step)
            continue
        with gradsound.attach(
            training.model, optimizer, on_alarm=lambda alarm: torch.rand(3).sum()
        ) as attachment:
            step = optimizer.step
            training.train(lambda: (attachment.alarms, step()))  # noqa: B023
    assert all(map(equal, trainings[0].weights, trainings[1].weights))


def test_a_loop_of_a_thousand_alarms_loses_none() -> None:
    """Every alarm of norms that toggle is heard, and is what the run file gives later."""
    model, heard = nn.Sequential(nn.Linear(1, 1)), []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    with gradsound.attach(model, optimizer, on_alarm=heard.append) as attachment:
        for k in range(4000):
            for parameter in model.parameters():
                parameter.grad = torch.full_like(parameter, torch.nan if k % 4 == 0 else 1)
            optimizer.step()
    run = gradsound.read_run("run.jsonl")
    detector = RunDetector(run.header, gradsound.PRESETS["notes"].thresholds)
    later = [*chain.from_iterable(chain(*map(detector.detect, run.blocks())))]

    assert heard == later == [*attachment.alarms]
    assert [alarm.kind for alarm in heard].count("nonfinite") == 1000


def test_the_last_alarms_are_told_at_close() -> None:
    """close() has the alarms of steps that waited heard, and never raises."""
    training, heard = Training(), []

    def stop_always(alarm: gradsound.Alarm) -> None:
        heard.append(alarm)
        raise gradsound.StopTraining

    optimizer, _ = plain(training)
    attachment = gradsound.attach(training.model, optimizer, on_alarm=stop_always)
    for k in range(12):
        training.begun = BAD + 1 if k in (8, 11) else 0
        training.backward()
        with suppress(gradsound.StopTraining):
            optimizer.step()
    attachment.close()
    attachment.close()
    assert tuple(heard) == attachment.alarms
    assert heard


def test_a_function_may_close_the_attachment() -> None:
    """It hears the other alarms of the same steps, and none twice."""
    training, heard = Training(), []
    optimizer, step = plain(training)

    def close(alarm: gradsound.Alarm) -> None:
        heard.append(alarm)
        attachment.close()

    attachment = gradsound.attach(training.model, optimizer, on_alarm=close)
    training.train(step)
    attachment.close()
    assert tuple(heard) == attachment.alarms
    assert training.begun == STEPS


def test_a_closed_attachment_lets_go_of_the_function() -> None:
    """What the function knows, such as the model, is free after close()."""
    model = small()
    optimizer = sgd(model)
    known = nn.ParameterList(model.parameters())
    on_alarm = partial(print, known, model)
    with gradsound.attach(model, optimizer, on_alarm=on_alarm) as attachment:
        loss_of(model, torch.Generator()).backward()
        optimizer.step()
    reference = weakref.ref(model)
    del model, optimizer, known, on_alarm
    gc.collect()
    assert reference() is None
    assert attachment.alarms == ()


def test_alarms_without_any_file() -> None:
    """log=None with a function writes nothing, and the alarms are there."""
    training, heard = Training(), []
    optimizer, step = plain(training)
    with gradsound.attach(training.model, optimizer, log=None, on_alarm=heard.append) as a:
        before = os.fstat(a._recorder._file._writer._descriptor).st_size
        a.log_values(loss=torch.tensor(torch.inf))
        training.train(step)
        a._monitor.flush()
        assert os.fstat(a._recorder._file._writer._descriptor).st_size == before
    assert heard == [*a.alarms]
    assert [alarm.text for alarm in heard][:2] == ["the loss is infinite", "NaN in 0"]
    assert not [*Path().iterdir()]


def test_listen_takes_a_function() -> None:
    """listen() hands on_alarm to attach()."""
    training, heard = Training(), []
    optimizer, step = plain(training)
    with gradsound.listen(training.model, optimizer, web=0, on_alarm=heard.append):
        training.train(step)
    assert heard[0].kind == "nonfinite"


def test_a_number_is_no_function() -> None:
    """One sentence has the value and the remedy, before anything is written."""
    model = small()
    with pytest.raises(TypeError, match=r"^on_alarm=5: give a function of one alarm$"):
        gradsound.attach(model, sgd(model), on_alarm=5)
    assert not [*Path().iterdir()]


def test_an_exit_in_a_function_ends_the_program(tmp_path: Path) -> None:
    """SystemExit and Ctrl-C in the function are those of the program; the run is whole."""
    code = f"""if True:
        import sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        import torch, gradsound
        from helpers.models import *
        model = small()
        optimizer = sgd(model)
        gradsound.attach(model, optimizer, on_alarm=lambda alarm: sys.exit(3))
        while True:
            optimizer.zero_grad()
            (loss_of(model, torch.Generator()) * torch.nan).backward()
            optimizer.step()
    """
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, timeout=60, check=False
    )
    assert done.returncode == 3
    assert len([*gradsound.read_run(tmp_path / "run.jsonl").steps]) == 1
