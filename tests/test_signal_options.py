"""Which signals a user may ask for, and what is refused, each in one sentence."""

from __future__ import annotations

import pytest
import torch
from helpers.models import small, train

import gradsound
from gradsound.signal_options import SIGNAL_NAMES, check_signal_support, check_signals


def test_names_are_put_in_order() -> None:
    """One name may stand alone; each counts once."""
    assert check_signals("snr") == ("snr",)
    assert check_signals(["zeros", "snr", "zeros"]) == ("snr", "zeros")
    assert check_signals({"zeros", "update_ratio", "snr"}) == SIGNAL_NAMES
    assert check_signals(()) == ()


@pytest.mark.parametrize(
    ("signals", "kind", "message"),
    [
        ("srn", ValueError, "no signal 'srn'; did you mean 'snr'? There are: snr, update"),
        (("snr", "noise scale"), ValueError, "no signal 'noise scale'; there are: snr, "),
        (["update"], ValueError, "no signal 'update'; did you mean 'update_ratio'?"),
        (True, TypeError, "signals must be names, such as ('snr', 'zeros'), got True"),
        (None, TypeError, "signals must be names, such as ('snr', 'zeros'), got None"),
        ((1,), TypeError, "signals must be names, such as ('snr', 'zeros'), got (1,)"),
    ],
)
def test_what_is_no_signal_is_refused(tmp_path, signals, kind, message: str) -> None:
    """The message has the value and the names; no file is made."""
    model = small()
    optimizer = torch.optim.Adam(model.parameters())
    with pytest.raises(kind) as raised:
        gradsound.attach(model, optimizer, log=tmp_path / "run.jsonl", signals=signals)

    assert message in str(raised.value)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"engine": True},
            "signals must be empty with DeepSpeed, got ('snr',): its",
        ),
        ({"each_rank": True}, "signals must be empty with ranks='each', got ('snr',): a"),
        ({"sharded": True}, "signals must be empty for a sharded model, got ('snr',): no"),
    ],
)
def test_what_is_not_measured_right_is_refused(changes, message: str) -> None:
    """By name; without signals, nothing is."""
    usual = {"engine": False, "each_rank": False, "sharded": False}
    with pytest.raises(ValueError, match="signals must be empty") as raised:
        check_signal_support(("snr",), **(usual | changes))

    assert message in str(raised.value)
    check_signal_support((), **(usual | changes))
    check_signal_support(("snr",), **usual)


def test_a_run_file_has_signals(tmp_path) -> None:
    """Also that of a training that resumes with other ones."""
    log = tmp_path / "run.jsonl"
    model = small()
    optimizer = torch.optim.Adam(model.parameters())
    with gradsound.attach(model, optimizer, log=log, signals=("zeros", "snr")):
        train(model, optimizer, 3)
    with gradsound.attach(model, optimizer, log=log, signals="update_ratio", resume=True):
        train(model, optimizer, 2)
    run = gradsound.read_run(log)

    assert run.header.signals == {
        "snr": "from the first moments of Adam",
        "zeros": "every 10th step",
    }
    assert [[*step.signals] for step in run.steps] == [
        ["snr", "zeros"],
        ["snr"],
        ["snr"],
        ["update_ratio"],
        [],
    ]
