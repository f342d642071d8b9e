"""attach(): files whole however training ends, and training as it would have been."""

import gc
import os
import signal
import subprocess
import sys
import time
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from helpers.models import Tied, small, train, true_norm
from helpers.scores import END

import gradsound
from gradsound.errors import GradsoundWarning, MissingExtraError

pytestmark = pytest.mark.usefixtures("own_folder")
TESTS = Path(__file__).parent
STEP = 12_348  # frames of a step with preset notes and two layers: 280 ms


def norms_of(path: Path) -> np.ndarray:
    return np.array([step.norms for step in gradsound.read_run(path).steps])


def sgd(model: torch.nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.01)


@pytest.mark.parametrize("with_optimizer", [True, False])
@pytest.mark.parametrize("make", [small, Tied])
def test_training_is_bit_identical(make, with_optimizer: bool) -> None:
    """With and without gradsound the weights are the same to the last bit."""
    states = []
    for attached in (True, False):
        model = make()
        optimizer = torch.optim.Adam(p for p in model.parameters() if p.requires_grad)
        if attached:
            with gradsound.attach(
                model, optimizer if with_optimizer else None, wav="x.wav"
            ):
                train(model, optimizer, 20)
        else:
            train(model, optimizer, 20)
        states.append(model.state_dict())

    assert all(torch.equal(states[0][name], states[1][name]) for name in states[1])


def test_run_and_sound_are_of_the_training() -> None:
    """The run has each step's norms in order, the sound is what render makes of it."""
    model = small()
    optimizer = sgd(model)
    wanted = []
    note = lambda: wanted.append([true_norm(model[0]), true_norm(model[2])])  # noqa: E731
    with gradsound.attach(
        model, optimizer, log="a.jsonl", wav="a.wav", preset="perone2019", comment="mine"
    ):
        train(model, optimizer, 300, before_step=note)
    run = gradsound.read_run("a.jsonl")
    steps = list(run.steps)
    gradsound.render(run, "b.wav", preset="perone2019")

    assert (run.header.layers, run.header.parameters) == (("0", "2"), (16, 5))
    assert run.header.comment == "mine"
    assert [step.number for step in steps] == list(range(300))
    assert (np.diff([step.time for step in steps]) > 0).all()
    np.testing.assert_allclose([step.norms for step in steps], wanted, rtol=1e-6)
    assert Path("a.wav").read_bytes() == Path("b.wav").read_bytes()


def test_one_line_is_enough() -> None:
    """attach(model) alone records to run.jsonl, of whatever optimizer."""
    model = small()
    with gradsound.attach(model):
        train(model, sgd(model), 3)

    assert norms_of("run.jsonl").shape == (3, 2)


def test_globs_select_what_is_measured() -> None:
    """Only the chosen layers are in the run."""
    model = Tied()
    with gradsound.attach(model, layers=["body.*"]):
        train(model, sgd(model), 2)

    assert gradsound.read_run("run.jsonl").header.layers == ("body.a", "body.norm")


def test_skipped_steps_are_in_the_run() -> None:
    """A step that the scaler skips is recorded, flagged, with the scale."""
    model = small()
    optimizer = sgd(model)
    scaler = torch.amp.GradScaler("cpu")
    with gradsound.attach(model, optimizer, scaler=scaler):
        for factor in (1.0, float("inf"), 1.0):
            optimizer.zero_grad()
            loss = model(torch.ones(2, 3)).square().mean() * factor
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
    steps = list(gradsound.read_run("run.jsonl").steps)

    assert [step.skipped for step in steps] == [False, True, False]
    assert steps[1].scale == 65536.0
    assert "step" not in vars(scaler)


def test_a_preset_of_ones_own() -> None:
    """A changed copy of a preset is what sounds."""
    model = small()
    own = replace(
        gradsound.PRESETS["notes"], note_seconds=0.02, rest_seconds=0.06, alarms=0.0
    )
    with gradsound.attach(model, wav="x.flac", preset=own):
        train(model, sgd(model), 7)

    np.testing.assert_allclose(soundfile.info("x.flac").duration, 7 * 0.1, rtol=1e-9)


def test_sound_alone_leaves_no_run() -> None:
    """With log=None there is the sound and nothing else."""
    model = small()
    with gradsound.attach(model, log=None, wav="x.ogg"):
        train(model, sgd(model), 3)

    assert sorted(path.name for path in Path().iterdir()) == ["x.ogg", "x.vtt"]


def test_an_exception_in_the_loop_passes_and_files_are_whole() -> None:
    """The block's own error is what comes out of it."""
    model = small()
    optimizer = sgd(model)

    def fail() -> None:
        train(model, optimizer, 3)
        raise KeyError

    with pytest.raises(KeyError), gradsound.attach(model, optimizer, wav="x.wav"):
        fail()

    assert len(norms_of("run.jsonl")) == 3
    assert soundfile.info("x.wav").frames == 3 * STEP + END
    assert not optimizer._optimizer_step_pre_hooks


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("second", [True, False])
def test_attaching_twice_is_an_error(first: bool, second: bool) -> None:
    """It says so, leaves the first as it is, and after closing it may be done again."""
    model = small()
    optimizer = sgd(model)
    attachment = gradsound.attach(model, optimizer if first else None)
    with pytest.raises(ValueError, match="this Sequential is attached already: close"):
        gradsound.attach(model, optimizer if second else None, log="b.jsonl")
    train(model, optimizer, 2)
    attachment.close()
    attachment.close()
    with gradsound.attach(model, optimizer if second else None, log="b.jsonl"):
        train(model, optimizer, 1)

    assert len(norms_of("run.jsonl")) == 2
    assert len(norms_of("b.jsonl")) == 1


def test_two_optimizers_of_one_model() -> None:
    """Each may be attached, to its own layers."""
    model = small()
    lower, upper = sgd(model[0]), sgd(model[2])
    with (
        gradsound.attach(model, lower, log="lower.jsonl"),
        gradsound.attach(model, upper, log="upper.jsonl"),
    ):
        train(model, lower, 2)
        train(model, upper, 3)

    assert norms_of("lower.jsonl").shape == (2, 1)
    assert norms_of("upper.jsonl").shape == (3, 1)


def test_each_sound_is_of_its_own_run() -> None:
    """Two attachments that take one run file after the other keep their own sounds."""
    one, two = small(), small()
    with gradsound.attach(one, wav="one.wav"), gradsound.attach(two, wav="two.wav"):
        train(one, sgd(one), 2)
        train(two, sgd(two), 5)

    assert soundfile.info("one.wav").frames == 2 * STEP + END
    assert soundfile.info("two.wav").frames == 5 * STEP + END
    assert [len(norms_of(f"run{k}.jsonl")) for k in (".1", "")] == [2, 5]


@pytest.mark.parametrize("with_optimizer", [True, False])
def test_collecting_the_model_finishes_the_files(with_optimizer: bool) -> None:
    """A forgotten attachment keeps nothing alive; its files are whole once all is gone."""
    model = small()
    optimizer = sgd(model)
    attachment = gradsound.attach(model, optimizer if with_optimizer else None, wav="x.wav")
    train(model, optimizer, 3)
    gone = weakref.ref(model), weakref.ref(model[0].weight)
    del model, optimizer
    gc.collect()

    assert [ref() for ref in gone] == [None, None]
    assert soundfile.info("x.wav").frames == 3 * STEP + END
    attachment.close()


def test_a_run_that_is_there_is_kept() -> None:
    """Training again with the same name does not lose the first run."""
    for steps in (2, 3):
        model = small()
        with gradsound.attach(model):
            train(model, sgd(model), steps)

    assert len(norms_of("run.1.jsonl")) == 2
    assert len(norms_of("run.jsonl")) == 3


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"log": None}, ValueError, "log and wav are both None"),
        ({"wav": "x.mp3"}, ValueError, "x.mp3: a sound file ends in .wav, .flac, .ogg"),
        ({"wav": "none/x.wav"}, FileNotFoundError, "none/x.wav"),
        ({"log": "none/x.jsonl"}, FileNotFoundError, "none/x.jsonl"),
        ({"log": "x.wav", "wav": "x.wav"}, ValueError, "log must not be x.wav or its"),
        ({"log": "x.vtt", "wav": "x.wav"}, ValueError, "captions, got x.vtt"),
        ({"preset": None}, TypeError, "preset must be a name or a Preset, got None"),
        ({"comment": 5}, TypeError, "comment must be a text, got 5"),
        ({"preset": "nots"}, ValueError, "did you mean 'notes'"),
        ({"layers": "conv*"}, ValueError, r"no layer matches 'conv\*'; there are: 0, 2"),
    ],
)
def test_bad_arguments_are_told_at_once(changes, error, message: str) -> None:
    """One sentence with the value, before any training, and nothing is left behind."""
    model = small()
    with pytest.raises(error, match=message):
        gradsound.attach(model, **changes)
    train(model, sgd(model), 1)

    assert not list(Path().iterdir())
    gradsound.attach(model).close()


def test_a_disk_that_fills_up_costs_what_came_after() -> None:
    """What was recorded before is read, training ends, a line says what is lost."""
    code = f"""if True:
        import resource, sys
        sys.path.insert(0, {str(TESTS)!r})
        import gradsound
        from helpers.models import *
        model = small()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
        with gradsound.attach(model, optimizer):
            train(model, optimizer, 200)
        print("trained")
    """
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    with pytest.warns(GradsoundWarning, match="torn"):
        steps = len(norms_of("run.jsonl"))

    assert (done.returncode, done.stdout) == (0, "trained\n")
    assert done.stderr.count("GradsoundWarning") == 2  # the other says that they wait
    assert f"run.jsonl: File too large; steps from {steps} on are lost" in done.stderr
    assert 50 < steps < 100


def test_a_sound_that_cannot_be_written_is_told_at_the_end() -> None:
    """The folder goes away during training: the run is whole, a warning tells the rest."""
    Path("gone").mkdir()
    model = small()
    attachment = gradsound.attach(model, wav="gone/x.wav")
    Path("gone").rmdir()
    train(model, sgd(model), 3)
    with pytest.warns(GradsoundWarning, match="gone/x.wav: .*; the steps are in run.jsonl"):
        attachment.close()

    assert len(norms_of("run.jsonl")) == 3


@pytest.mark.parametrize("log", ["run.jsonl", None])
def test_no_steps_is_told(log: str | None) -> None:
    """Closed before any step, there is a run without steps and no sound."""
    model = small()
    attachment = gradsound.attach(model, log=log, wav="x.wav")
    with pytest.warns(GradsoundWarning, match=r"jsonl: no optimizer step was seen") as told:
        attachment.close()

    assert len(told) == 1
    assert [path.name for path in Path().iterdir()] == ([] if log is None else [log])


SCRIPT = f"""if True:
    import os, signal, subprocess, sys, time
    sys.path.insert(0, {str(TESTS)!r})
    import gradsound
    from helpers.models import *
    model = small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    gradsound.attach(model, optimizer, log="run.jsonl", wav="run.wav")
    train(model, optimizer, 49)
    time.sleep(0.2)  # from here on, no step waits for the next
    train(model, optimizer, 1)
"""
ENDS = {
    "end": ("", 0),
    "sys.exit": ("sys.exit(3)", 3),
    "exception": ("raise KeyError", 1),
    "os._exit": ("os._exit(3)", 3),
    "SIGKILL": ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
    "SIGTERM": ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
    "SIGKILL with a worker that holds the pipe": (
        "os.fork() or (time.sleep(20), os._exit(0)); os.kill(os.getpid(), signal.SIGKILL)",
        -signal.SIGKILL,
    ),
}


@pytest.mark.parametrize("end", ENDS)
def test_files_are_whole_however_the_program_ends(end: str) -> None:
    """Without a close, and killed: the run has its steps, the sound is whole."""
    last, status = ENDS[end]
    done = subprocess.run(
        [sys.executable, "-c", f"{SCRIPT}\n    {last}\n"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    deadline = time.monotonic() + 15  # the worker lives longer than that
    while not Path("run.wav").exists() and time.monotonic() < deadline:
        time.sleep(0.05)

    assert done.returncode == status
    assert len(norms_of("run.jsonl")) == 50
    assert soundfile.info("run.wav").frames == 50 * STEP + END
    assert sorted(path.name for path in Path().iterdir()) == [
        "run.jsonl",
        "run.vtt",
        "run.wav",
    ]


def test_slow_steps_are_in_the_file_at_once() -> None:
    """Only where steps come so fast that it would cost too much, some wait for others."""
    model = small()
    optimizer = sgd(model)
    with gradsound.attach(model, optimizer):
        for count in range(1, 4):
            time.sleep(0.11)
            train(model, optimizer, 1)
            assert len(norms_of("run.jsonl")) == count


def test_a_forked_child_does_not_end_the_recording() -> None:
    """A child process that exits leaves the files to its parent."""
    model = small()
    optimizer = sgd(model)
    with gradsound.attach(model, optimizer, wav="x.wav") as attachment:
        train(model, optimizer, 2)
        assert attachment._monitor.queue.pending  # to be written by one of them
        child = os.fork()
        if not child:
            attachment.close()
            os._exit(0)
        os.waitpid(child, 0)
        time.sleep(0.5)  # long enough for the sound process to end, if it were told to
        train(model, optimizer, 3)

    assert len(norms_of("run.jsonl")) == 5  # none twice
    assert soundfile.info("x.wav").frames == 5 * STEP + END


def test_files_of_the_working_folder_do_not_shadow_python() -> None:
    """A user's json.py or wave.py is nothing to the sound process."""
    for name in ("json", "wave", "select", "numpy", "subprocess", "gradsound_"):
        Path(f"{name}.py").write_text("raise SystemExit('shadowed')")
    model = small()
    with gradsound.attach(model, wav="x.wav"):
        train(model, sgd(model), 2)

    assert soundfile.info("x.wav").frames == 2 * STEP + END


def test_without_torch_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where torch cannot be imported, attach says what to install."""
    for name in [name for name in sys.modules if name.startswith("gradsound.measure")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(gradsound, "measure")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"torch is not .*'gradsound\[torch\]'"):
        gradsound.attach(None)
