"""A monitor leaves training as it is: no hook, reference or exception remains."""

import copy
import gc
import weakref

import pytest
import torch
from helpers.models import sgd, small, train
from helpers.monitors import (
    BOTH,
    FailingNorms,
    StepCollector,
    collector_for,
    small_collector,
)

from gradsound.errors import GradsoundWarning
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
    model, optimizer, _collector = small_collector(with_optimizer, emit=lambda *_: 1 / 0)
    with pytest.warns(
        GradsoundWarning, match="(?s)training goes on.*ZeroDivisionError"
    ) as warned:
        train(model, optimizer, 3)

    assert len(warned) == 1


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
