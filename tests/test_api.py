"""attach(): training stays bit-identical, files are whole however training ends."""

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
    """With and without gradsound, the weights are equal to the last bit."""
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


def test_run_and_sound_hold_the_steps_of_the_training() -> None:
    """The run has the norms of each step in order; the sound equals that of render()."""
    model = small()
    optimizer = sgd(model)
    expected = []

    def measure() -> None:
        expected.append([true_norm(model[0]), true_norm(model[2])])

    with gradsound.attach(
        model, optimizer, log="a.jsonl", wav="a.wav", preset="perone2019", comment="mine"
    ):
        train(model, optimizer, 300, before_step=measure)
    run = gradsound.read_run("a.jsonl")
    steps = list(run.steps)
    gradsound.render(run, "b.wav", preset="perone2019")

    assert (run.header.layers, run.header.parameters) == (("0", "2"), (16, 5))
    assert run.header.comment == "mine"
    assert [step.number for step in steps] == list(range(300))
    assert (np.diff([step.time for step in steps]) > 0).all()
    np.testing.assert_allclose([step.norms for step in steps], expected, rtol=1e-6)
    assert Path("a.wav").read_bytes() == Path("b.wav").read_bytes()


def test_one_line_is_enough() -> None:
    """attach(model) alone records the steps of any optimizer to run.jsonl."""
    model = small()
    with gradsound.attach(model):
        train(model, sgd(model), 3)

    assert norms_of("run.jsonl").shape == (3, 2)


def test_globs_select_layers() -> None:
    """Only layers that a glob matches are in the run."""
    model = Tied()
    with gradsound.attach(model, layers=["body.*"]):
        train(model, sgd(model), 2)

    assert gradsound.read_run("run.jsonl").header.layers == ("body.a", "body.norm")


def test_skipped_steps_are_in_the_run() -> None:
    """The run has a step that the scaler skips, marked as skipped, with the loss scale."""
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
    assert steps[1].loss_scale == 65536.0
    assert "step" not in vars(scaler)


def test_a_custom_preset() -> None:
    """The sound follows a changed copy of a preset."""
    model = small()
    slower = replace(
        gradsound.PRESETS["notes"], note_seconds=0.02, rest_seconds=0.06, alarms=0.0
    )
    with gradsound.attach(model, wav="x.flac", preset=slower):
        train(model, sgd(model), 7)

    np.testing.assert_allclose(soundfile.info("x.flac").duration, 7 * 0.1, rtol=1e-9)


@pytest.mark.parametrize("name", ["x.mp3", "x.opus"])
def test_a_lossy_sound_is_that_of_render(name: str) -> None:
    """The renderer of a training writes the same bytes as `render`, at the same rate."""
    model = small()
    with gradsound.attach(model, wav=name):
        train(model, sgd(model), 7)
    gradsound.render("run.jsonl", f"again.{name}")

    assert Path(name).read_bytes() == Path(f"again.{name}").read_bytes()


def test_sound_alone_leaves_no_run() -> None:
    """With log=None, only the sound and its captions remain."""
    model = small()
    with gradsound.attach(model, log=None, wav="x.ogg"):
        train(model, sgd(model), 3)

    assert sorted(path.name for path in Path().iterdir()) == ["x.ogg", "x.vtt"]


def test_an_exception_in_the_loop_leaves_whole_files() -> None:
    """The with block raises the loop's own exception, and removes every hook."""
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
    """A second attach() raises, the first records on; after close() it works."""
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
    """Each optimizer may have an attachment, which measures its own layers."""
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


def test_each_attachment_renders_its_own_run() -> None:
    """Two attachments with the same log= render two different runs."""
    one, two = small(), small()
    with gradsound.attach(one, wav="one.wav"), gradsound.attach(two, wav="two.wav"):
        train(one, sgd(one), 2)
        train(two, sgd(two), 5)

    assert soundfile.info("one.wav").frames == 2 * STEP + END
    assert soundfile.info("two.wav").frames == 5 * STEP + END
    assert [len(norms_of(f"run{k}.jsonl")) for k in (".1", "")] == [2, 5]


@pytest.mark.parametrize("with_optimizer", [True, False])
def test_collecting_the_model_finishes_the_files(with_optimizer: bool) -> None:
    """An attachment keeps no model alive; its files are whole once the model is freed."""
    model = small()
    optimizer = sgd(model)
    attachment = gradsound.attach(model, optimizer if with_optimizer else None, wav="x.wav")
    train(model, optimizer, 3)
    references = weakref.ref(model), weakref.ref(model[0].weight)
    del model, optimizer
    gc.collect()

    assert [reference() for reference in references] == [None, None]
    assert soundfile.info("x.wav").frames == 3 * STEP + END
    attachment.close()


def test_an_older_run_is_renamed() -> None:
    """A second training with the same log= keeps the first run under another name."""
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
        (
            {"wav": "x.aac"},
            ValueError,
            "x.aac: a sound file ends in .wav, .flac, .ogg, .mp3, .opus",
        ),
        ({"wav": "none/x.wav"}, FileNotFoundError, "none/x.wav"),
        ({"log": "none/x.jsonl"}, FileNotFoundError, "none/x.jsonl"),
        ({"log": "x.wav", "wav": "x.wav"}, ValueError, "log must not be x.wav or its"),
        ({"log": "x.jsonl.gz"}, ValueError, "compress it after the training"),
        ({"log": "x.vtt", "wav": "x.wav"}, ValueError, "captions, got x.vtt"),
        ({"preset": None}, TypeError, "preset must be a name or a Preset, got None"),
        ({"comment": 5}, TypeError, "comment must be a text, got 5"),
        ({"preset": "nots"}, ValueError, "did you mean 'notes'"),
        ({"layers": "conv*"}, ValueError, r"no layer matches 'conv\*'; there are: 0, 2"),
    ],
)
def test_bad_arguments_raise_at_once(changes, error, message: str) -> None:
    """The message has the value, and attach() writes no file."""
    model = small()
    with pytest.raises(error, match=message):
        gradsound.attach(model, **changes)
    train(model, sgd(model), 1)

    assert not list(Path().iterdir())
    gradsound.attach(model).close()


def test_a_full_disk_costs_only_later_steps() -> None:
    """Earlier steps are readable, training ends, and a warning names the lost steps."""
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
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    with pytest.warns(GradsoundWarning, match="torn"):
        steps = len(norms_of("run.jsonl"))

    assert (process.returncode, process.stdout) == (0, "trained\n")
    assert process.stderr.count("GradsoundWarning") == 2  # the other: steps wait for room
    assert f"run.jsonl: File too large; steps from {steps} on are lost" in process.stderr
    assert 50 < steps < 100


def test_a_failed_sound_file_warns_at_the_end() -> None:
    """If the folder disappears during training, the run is whole and close() warns."""
    Path("folder").mkdir()
    model = small()
    attachment = gradsound.attach(model, wav="folder/x.wav")
    Path("folder").rmdir()
    train(model, sgd(model), 3)
    with pytest.warns(
        GradsoundWarning, match="folder/x.wav: .*; the steps are in run.jsonl"
    ):
        attachment.close()

    assert len(norms_of("run.jsonl")) == 3


@pytest.mark.parametrize("log", ["run.jsonl", None])
def test_no_steps_warns_once(log: str | None) -> None:
    """Closed before any step, an attachment leaves an empty run and no sound."""
    model = small()
    attachment = gradsound.attach(model, log=log, wav="x.wav")
    with pytest.warns(
        GradsoundWarning, match=r"jsonl: no optimizer step was seen"
    ) as warned:
        attachment.close()

    assert len(warned) == 1
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
    time.sleep(0.2)  # so the next step writes the steps that wait
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
    """Without close() and after a kill, the run has its steps and the sound is whole."""
    last, status = ENDS[end]
    process = subprocess.run(
        [sys.executable, "-c", f"{SCRIPT}\n    {last}\n"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    deadline = time.monotonic() + 15  # the forked worker lives longer
    while not Path("run.wav").exists() and time.monotonic() < deadline:
        time.sleep(0.05)

    assert process.returncode == status
    assert len(norms_of("run.jsonl")) == 50
    assert soundfile.info("run.wav").frames == 50 * STEP + END
    assert sorted(path.name for path in Path().iterdir()) == [
        "run.jsonl",
        "run.vtt",
        "run.wav",
    ]


def test_slow_steps_are_in_the_file_at_once() -> None:
    """A step that takes 0.1 s is in the file at its end; only faster steps wait."""
    model = small()
    optimizer = sgd(model)
    with gradsound.attach(model, optimizer):
        for count in range(1, 4):
            time.sleep(0.11)
            train(model, optimizer, 1)
            assert len(norms_of("run.jsonl")) == count


def test_a_forked_child_does_not_end_the_recording() -> None:
    """A forked process that closes the attachment leaves the files to its parent."""
    model = small()
    optimizer = sgd(model)
    with gradsound.attach(model, optimizer, wav="x.wav") as attachment:
        train(model, optimizer, 2)
        assert attachment._monitor.queue.pending  # one of both processes must write it
        child = os.fork()
        if not child:
            attachment.close()
            os._exit(0)
        os.waitpid(child, 0)
        time.sleep(0.5)  # long enough for the renderer to end, if the child ended it
        train(model, optimizer, 3)

    assert len(norms_of("run.jsonl")) == 5  # no step twice
    assert soundfile.info("x.wav").frames == 5 * STEP + END


def test_files_of_the_working_folder_do_not_shadow_python() -> None:
    """A worker process never imports a user's json.py or wave.py."""
    for name in ("json", "wave", "select", "numpy", "subprocess", "gradsound_"):
        Path(f"{name}.py").write_text("raise SystemExit('shadowed')")
    model = small()
    with gradsound.attach(model, wav="x.wav"):
        train(model, sgd(model), 2)

    assert soundfile.info("x.wav").frames == 2 * STEP + END


def test_without_torch_attach_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without torch, the message has the command that installs it."""
    for name in [name for name in sys.modules if name.startswith("gradsound.measure")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(gradsound, "measure")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"torch is not .*: pip install torch$"):
        gradsound.attach(None)


@pytest.mark.parametrize("given", [True, False])
def test_after_closing_torch_can_swap_the_parameters(
    tmp_path: Path, *, given: bool
) -> None:
    """``Module.to`` swaps DTensors, and refuses one to which a weak reference exists."""
    model = small()
    optimizer = sgd(model)
    gc.disable()  # nothing may wait for a collection
    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        attachment = gradsound.attach(
            model, optimizer if given else None, log=tmp_path / "run.jsonl"
        )
        train(model, optimizer)
        attachment.close()
        optimizer.zero_grad()
        model.double()
    finally:
        torch.__future__.set_swap_module_params_on_conversion(False)
        gc.enable()

    assert next(model.parameters()).dtype == torch.float64
