"""attach(resume=True): one run file, one sound, and the same weights as ever."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.alarms import header_of
from helpers.models import sgd, small, train
from helpers.pages import Page

import gradsound
from gradsound.alarms.run_detector import RunDetector
from gradsound.measure.overhead_budget import OverheadBudget
from gradsound.runs.step_block import make_block

pytestmark = pytest.mark.usefixtures("own_folder")
TESTS = Path(__file__).parent


def attach_and_train(steps: int, **options: object) -> None:
    model = small()
    optimizer = sgd(model)
    with gradsound.attach(model, optimizer, **options):
        train(model, optimizer, steps)


def steps_of(path: str = "run.jsonl") -> list[gradsound.Step]:
    return [*gradsound.read_run(path).steps]


def numbers_of(path: str = "run.jsonl") -> list[int]:
    return [step.number for step in steps_of(path)]


def files() -> list[str]:
    return sorted(path.name for path in Path().iterdir())


def test_a_resumed_training_has_one_run() -> None:
    """Step numbers and times go on in the same file, whose header stays."""
    attach_and_train(5, resume=True, comment="first")
    attach_and_train(3, resume=True, comment="second")

    assert files() == ["run.jsonl"]
    assert numbers_of() == [*range(8)]
    assert (np.diff([step.time for step in steps_of()]) > 0).all()
    assert gradsound.read_run("run.jsonl").header.comment == "first"


def test_steps_after_the_checkpoint_are_taken_back() -> None:
    """With the checkpoint's step, the run has the repeated steps once, the later ones."""
    attach_and_train(9, log="run.jsonl", resume=True)
    before = [step.norms[0] for step in steps_of()]
    attach_and_train(5, log="run.jsonl", resume=True, start_step=6)

    assert numbers_of() == [*range(11)]
    # The second training begins with the same weights and data as the first one.
    assert [step.norms[0] for step in steps_of()] == before[:6] + before[:5]


def test_a_new_run_may_begin_at_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without resume, a new file begins at the start step; no step before is left out."""
    monkeypatch.setattr(OverheadBudget, "allows", lambda *_: True)
    attach_and_train(2)
    attach_and_train(3, start_step=40, budget=0.5)

    assert (numbers_of("run.1.jsonl"), numbers_of()) == ([0, 1], [40, 41, 42])
    summary = gradsound.summarize(gradsound.read_run("run.jsonl"))
    assert (summary.steps, summary.left_out) == (3, 0)


def test_weights_stay_bit_identical() -> None:
    """A training that resumes its run file computes the same weights as one without."""
    attach_and_train(3)
    weights = []
    for attached in (True, False):
        model = small()
        optimizer = torch.optim.Adam(model.parameters())
        if attached:
            with gradsound.attach(model, optimizer, resume=True, start_step=2):
                train(model, optimizer, 20)
        else:
            train(model, optimizer, 20)
        weights.append(model.state_dict())

    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[1])


def test_the_sound_is_of_the_whole_run() -> None:
    """The sound of the second part replaces that of the first, and equals render()'s."""
    attach_and_train(9, wav="run.wav", resume=True)
    first = Path("run.wav").read_bytes()
    attach_and_train(4, wav="run.wav", resume=True, start_step=6)
    gradsound.render("run.jsonl", "again.wav")

    assert Path("run.wav").read_bytes() == Path("again.wav").read_bytes() != first
    assert Path("run.vtt").read_text() == Path("again.vtt").read_text()
    assert files() == ["again.vtt", "again.wav", "run.jsonl", "run.vtt", "run.wav"]


def test_a_killed_training_goes_on() -> None:
    """After SIGKILL, the next start goes on, and its sound has the steps of both parts."""
    code = f"""if True:
        import os, signal, sys
        sys.path.insert(0, {str(TESTS)!r})
        import gradsound
        from helpers.models import *
        model = small()
        optimizer = sgd(model)
        gradsound.attach(model, optimizer, wav="run.wav", resume=True)
        train(model, optimizer, 50)
        time = __import__("time")
        time.sleep(0.2)  # so the next step writes the steps that wait
        train(model, optimizer, 1)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    process = subprocess.run([sys.executable, "-c", code], check=False)
    assert process.returncode == -signal.SIGKILL
    with Path("run.jsonl").open("ab") as file:
        file.write(b'{"step": 51, "ti')  # the line that a kill tore
    attach_and_train(4, wav="run.wav", resume=True)
    deadline = time.monotonic() + 20
    while list(Path().glob("*.part")) and time.monotonic() < deadline:
        time.sleep(0.05)  # the first renderer may end later than the second
    gradsound.render("run.jsonl", "again.wav")

    assert numbers_of() == [*range(55)]
    assert Path("run.wav").read_bytes() == Path("again.wav").read_bytes()
    assert files() == ["again.vtt", "again.wav", "run.jsonl", "run.vtt", "run.wav"]


def test_a_pause_between_two_parts_is_no_stall(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a training rests or compiles before it goes on, there is no alarm."""
    attach_and_train(40, resume=True)
    clock = time.perf_counter
    model = small()
    optimizer = sgd(model)
    with gradsound.attach(model, optimizer, resume=True):
        monkeypatch.setattr(time, "perf_counter", lambda: clock() + 900)  # compiles
        train(model, optimizer, 40)
    steps = steps_of()

    assert steps[-1].time < 60
    detector = RunDetector(header_of("0", "2"), gradsound.Thresholds())
    kinds = {
        alarm.kind for alarms in detector.detect(make_block(steps)) for alarm in alarms
    }
    assert not kinds & {"stall", "slow"}


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"resume": True, "log": None, "wav": "x.wav"},
            ValueError,
            "log is None, so there",
        ),
        ({"start_step": -1}, ValueError, "start_step must be .* 0 or more, got -1"),
        ({"start_step": 2.0}, ValueError, "start_step must be .* 0 or more, got 2.0"),
        ({"start_step": True}, ValueError, "start_step must be .* 0 or more, got True"),
    ],
)
def test_bad_arguments_raise_at_once(options, error, message: str) -> None:
    """The message has the value, and no file is written."""
    with pytest.raises(error, match=message):
        gradsound.attach(small(), **options)

    assert files() == []


def test_a_file_with_other_layers_is_refused() -> None:
    """The message says what differs; the file, and the model, stay as they were."""
    attach_and_train(2)
    before = Path("run.jsonl").read_bytes()
    model = small()
    with pytest.raises(ValueError, match=r"layers .* differ \(not in both: 2\)"):
        gradsound.attach(model, resume=True, layers="0", wav="run.wav")

    assert Path("run.jsonl").read_bytes() == before
    assert files() == ["run.jsonl"]
    gradsound.attach(model, resume=True).close()


def test_steps_left_out_at_the_end_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """The steps after the last measured one are in the summary of a run with a budget."""
    allowed = iter([True, False, True] + [False] * 20)
    monkeypatch.setattr(OverheadBudget, "allows", lambda *_: next(allowed))
    attach_and_train(23, budget=0.5)
    run = gradsound.read_run("run.jsonl")
    summary = gradsound.summarize(run)

    assert (run.total_steps, summary.steps, summary.left_out) == (23, 2, 21)

    attach_and_train(2, resume=True)
    assert numbers_of() == [0, 2, 23, 24]
    assert gradsound.summarize(gradsound.read_run("run.jsonl")).left_out == 21


def test_no_measured_step_counts_too() -> None:
    """A run whose budget left out every step says how many there were."""
    with pytest.warns(gradsound.GradsoundWarning, match="none of 6 steps was measured"):
        attach_and_train(6, budget=1e-9)
    run = gradsound.read_run("run.jsonl")

    assert (run.total_steps, gradsound.summarize(run).left_out) == (6, 6)


def test_a_page_shows_the_earlier_steps_and_plays_the_new_ones() -> None:
    """Live sound goes on: what was recorded before is history, without steps taken back."""
    attach_and_train(9, resume=True)
    model = small()
    optimizer = sgd(model)
    options = {"resume": True, "start_step": 6}
    with gradsound.listen(model, optimizer, web=True, **options) as attachment:
        page = Page(attachment.url)
        train(model, optimizer, 1)
        page.receive_until(lambda: page.events, "nothing plays")
        # The page has one column for each step, or for several that were merged.
        last = max(column.last for column in page.columns)
        events = page.events[0]
        page.close()

    assert (events.first, events.last) == (6, 6)
    assert last in (5, 6)
    assert numbers_of() == [*range(7)]
