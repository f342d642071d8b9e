"""A monitor leaves training as it is: no hook, reference or exception remains."""

import copy
import gc
import sys
import weakref
from collections.abc import Callable

import pytest
import torch
from helpers.models import loss_of, sgd, small, train
from helpers.monitors import (
    BOTH,
    FailingNorms,
    StepCollector,
    collector_for,
    small_collector,
)
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

import gradsound
from gradsound.errors import GradsoundWarning
from gradsound.measure.hooks.guards import never_raises
from gradsound.measure.hooks.parts import MonitorParts


@BOTH
def test_close_removes_every_hook(with_optimizer: bool) -> None:
    """After close() no hook is left, and the monitor emits nothing."""
    from torch.optim import optimizer as module

    def hooks() -> list[int]:
        places = [
            optimizer._optimizer_step_pre_hooks,
            optimizer._optimizer_step_post_hooks,
            module._global_optimizer_pre_hooks,
            module._global_optimizer_post_hooks,
            *(p._post_accumulate_grad_hooks or () for p in model.parameters()),
        ]
        return [len(place) for place in places]

    model = small()
    optimizer = sgd(model)
    before = hooks()
    collector = collector_for(model, optimizer, with_optimizer)
    assert sum(hooks()) > sum(before)
    train(model, optimizer, 1)
    collector.monitor.close()
    collector.monitor.close()
    train(model, optimizer, 1)

    assert hooks() == before
    assert len(collector.norms) == 1


def test_an_ordinary_optimizer_has_one_hook() -> None:
    """Each hook costs time at each step, and only a closure needs a second one."""
    model, optimizer, _collector = small_collector(with_optimizer=True)
    train(model, optimizer, 1)

    assert len(optimizer._optimizer_step_pre_hooks) == 1
    assert len(optimizer._optimizer_step_post_hooks) == 0


@BOTH
@pytest.mark.parametrize("local", [False, True])
def test_hooks_move_when_the_parameters_change(with_optimizer: bool, local: bool) -> None:
    """No parameter has a hook twice, and none has one after close()."""

    def hooks() -> list[int]:
        return [len(p._post_accumulate_grad_hooks or ()) for p in model.parameters()]

    model, _optimizer, collector = small_collector(with_optimizer, local=local)
    assert hooks() == [local + (not with_optimizer)] * 4
    collector.monitor.update_parameters()
    assert hooks() == [local + (not with_optimizer)] * 4
    collector.monitor.close()
    assert hooks() == [0] * 4


@BOTH
def test_no_parameter_is_kept_alive(with_optimizer: bool) -> None:
    """A monitor that is still referenced does not keep model or optimizer alive."""
    model, optimizer, collector = small_collector(with_optimizer)
    train(model, optimizer, 1)
    references = [weakref.ref(model), weakref.ref(optimizer), weakref.ref(model[0].weight)]
    collector.layers = None
    del model, optimizer
    gc.collect()

    assert [reference() for reference in references] == [None] * 3
    collector.monitor.close()


@BOTH
def test_copies_and_files_are_clean(with_optimizer: bool, tmp_path) -> None:
    """An attached model can be copied and saved; its copies are not measured."""
    model, optimizer, collector = small_collector(with_optimizer)
    train(model, optimizer, 1)
    twin = copy.deepcopy(model)
    torch.save(model, tmp_path / "model.pt")
    torch.save(optimizer.state_dict(), tmp_path / "optimizer.pt")
    loaded = torch.load(tmp_path / "model.pt", weights_only=False)
    for other in (twin, loaded):
        train(other, sgd(other), 1)

    assert len(collector.norms) == 1


@BOTH
def test_an_error_in_a_hook_stays_there(with_optimizer: bool) -> None:
    """An error ends the measuring with one warning with its traceback; training goes on."""
    model, optimizer, collector = small_collector(with_optimizer, emit=lambda *_: 1 / 0)
    with pytest.warns(
        GradsoundWarning, match="(?s)training goes on.*ZeroDivisionError"
    ) as warned:
        train(model, optimizer, 3)

    assert len(warned) == 1
    assert not collector.monitor.handles


@pytest.mark.parametrize(
    "call",
    [
        lambda monitor, optimizer: monitor.measure(optimizer, fresh=7),
        lambda monitor, _: monitor.measure_collected(None, None),
        lambda monitor, optimizer: monitor.measure_skipped(optimizer, None),
        lambda monitor, _: monitor.before_clip(7),
        lambda monitor, _: monitor.after_unscale(None, None),
    ],
)
def test_each_method_that_hooks_call_is_guarded(call: Callable[..., None]) -> None:
    """An argument of any kind ends the measuring, and raises nothing."""
    model, optimizer, collector = small_collector(with_optimizer=True)
    loss_of(model, torch.Generator()).backward()
    with pytest.warns(GradsoundWarning, match="an error ended the measuring"):
        call(collector.monitor, optimizer)


@pytest.mark.parametrize("enabled", [True, False])
def test_autograd_does_not_track_a_hook(enabled: bool) -> None:
    """The training has its own mode again afterwards, also after an error."""

    class Hooks:
        stops = 0

        @never_raises
        def look(self) -> None:
            assert not torch.is_grad_enabled()
            raise OSError

        def stop_after_error(self) -> None:
            assert sys.exc_info()[0] is OSError
            self.stops += 1

    hooks = Hooks()
    with torch.set_grad_enabled(enabled):
        hooks.look()
        assert torch.is_grad_enabled() == enabled
    assert hooks.stops == 1


def test_an_optimizer_without_parameter_groups_may_step() -> None:
    """A monitor of a model sees optimizers of all kinds, and none fails because of it."""

    class Empty(torch.optim.Optimizer):
        def step(self) -> None:
            pass

    model, _optimizer, _collector = small_collector(with_optimizer=False)
    other = Empty([torch.ones(3)], {})
    other.param_groups = None
    loss_of(model, torch.Generator()).backward()
    with pytest.warns(GradsoundWarning, match="an error ended the measuring"):
        other.step()


def test_an_error_of_the_last_discarded_step_stays_there() -> None:
    """close() notices that step, and raises nothing."""
    model, optimizer, collector = small_collector(True, emit=lambda *_: 1 / 0)
    loss_of(model, torch.Generator()).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.zero_grad()
    with pytest.warns(GradsoundWarning, match="(?s)training goes on.*ZeroDivisionError"):
        collector.monitor.close()


def test_an_error_loses_no_step_before_it() -> None:
    """The monitor emits the steps that it measured before the error."""
    norms = FailingNorms()
    parts = MonitorParts(norms_per_layer=norms)
    model, optimizer, collector = small_collector(with_optimizer=True, parts=parts)
    train(model, optimizer, 5)
    norms.fails = True
    with pytest.warns(GradsoundWarning, match="an error ended the measuring"):
        train(model, optimizer, 2)

    assert [step.number for step in collector.emitted] == [0, 1, 2, 3, 4]


def test_warnings_as_errors_do_not_reach_training(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """If warnings are errors, as in this suite, the message goes to standard error."""
    model = small()
    optimizer = sgd(model)
    StepCollector(model, optimizer, emit=lambda *_: 1 / 0)
    train(model, optimizer, 3)

    assert capsys.readouterr().err.count("ZeroDivisionError") == 1


@BOTH
def test_an_error_between_hooks_of_the_user(with_optimizer: bool) -> None:
    """After an error in our hook, torch calls the later hooks of a step, and the step."""
    model = small()
    optimizer = sgd(model)
    collector_for(model, optimizer, with_optimizer, emit=lambda *_: 1 / 0)
    called: list[object] = []
    handles = [
        register(lambda *_: called.append(1))
        for register in (
            optimizer.register_step_pre_hook,
            optimizer.register_step_post_hook,
            register_optimizer_step_pre_hook,
            register_optimizer_step_post_hook,
        )
    ]
    with pytest.warns(GradsoundWarning, match="an error ended the measuring"):
        train(model, optimizer, 3)
    for handle in handles:
        handle.remove()

    assert len(called) == 12


@BOTH
@pytest.mark.usefixtures("own_folder")
def test_a_model_goes_while_torch_calls_hooks(with_optimizer: bool) -> None:
    """Another model's attachment may end in a hook, by the garbage collector."""
    models = [small(), small()]
    optimizers = [sgd(model) for model in models]

    def collect(*_: object) -> None:
        gc.collect()

    for number, (model, optimizer) in enumerate(zip(models, optimizers)):
        model.itself = [model]  # only the garbage collector frees it
        optimizer.model = model
        given = optimizer if with_optimizer else None
        gradsound.attach(model, given, log=f"{number}.jsonl")
        handle = register_optimizer_step_pre_hook(collect)
        train(model, optimizer, 1)
        handle.remove()
    first = weakref.ref(models.pop(0))
    del model, optimizer, optimizers[0]
    handle = register_optimizer_step_pre_hook(collect)
    train(models[0], optimizers[0], 2)
    handle.remove()

    assert first() is None
    assert len([*gradsound.read_run("1.jsonl").steps]) == 3
