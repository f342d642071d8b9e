"""Sounds belong to their run file by name, and no training takes another one's."""

import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers.models import sgd, small, train
from helpers.scores import END

import gradsound
from gradsound.workers.render_file import _publish
from gradsound.workers.sinks import PageSink

pytestmark = pytest.mark.usefixtures("own_folder")
TESTS = Path(__file__).parent
STEP = 12_348  # frames of a step with preset notes and two layers: 280 ms


def attach_and_train(steps: int, **options: object) -> None:
    model = small()
    optimizer = sgd(model)
    with gradsound.attach(model, optimizer, **options):
        train(model, optimizer, steps)


def steps_of(path: str) -> int:
    return sum(1 for _ in gradsound.read_run(path).steps)


def steps_in(sound: str) -> float:
    """Returns how many steps a sound has."""
    return (soundfile.info(sound).frames - END) / STEP


def files() -> list[str]:
    return sorted(path.name for path in Path().iterdir())


def assert_belongs(*stems: str) -> None:
    """Checks that each sound and its captions are those of the run file of its name."""
    for stem in stems:
        Path("check").mkdir(exist_ok=True)
        gradsound.render(f"{stem}.jsonl", f"check/{stem}.wav")
        for suffix in ("wav", "vtt"):
            made = Path(f"check/{stem}.{suffix}").read_bytes()
            assert Path(f"{stem}.{suffix}").read_bytes() == made


def test_a_sound_is_kept_under_the_number_of_its_run() -> None:
    """Three trainings with the same names leave three runs with their sounds."""
    for steps in (2, 3, 4):
        attach_and_train(steps, wav="run.wav")

    assert files() == [
        *("run.1.jsonl", "run.1.vtt", "run.1.wav"),
        *("run.2.jsonl", "run.2.vtt", "run.2.wav"),
        *("run.jsonl", "run.vtt", "run.wav"),
    ]
    assert [steps_in(f"run{k}.wav") for k in (".1", ".2", "")] == [2, 3, 4]
    assert_belongs("run.1", "run.2", "run")


def test_a_training_without_sound_takes_no_sound_along() -> None:
    """The sound of the older run goes with it, though the new run has none."""
    attach_and_train(2, wav="run.wav")
    attach_and_train(3)

    assert files() == ["run.1.jsonl", "run.1.vtt", "run.1.wav", "run.jsonl"]


def test_names_of_run_and_sound_may_differ() -> None:
    """A sound with a name of its own is kept under the number of its run file."""
    attach_and_train(2)  # run.1.jsonl in the end, without a sound
    for steps in (3, 4):
        attach_and_train(steps, wav="loud.ogg")

    assert [steps_of(f"run{k}.jsonl") for k in (".1", ".2", "")] == [2, 3, 4]
    sounds = [name for name in files() if name.startswith("loud")]
    assert sounds == ["loud.2.ogg", "loud.2.vtt", "loud.ogg", "loud.vtt"]


def test_a_sound_in_another_folder_is_kept() -> None:
    """Run file and sound may be in two folders; their numbers are the same."""
    for name in ("runs", "sounds"):
        Path(name).mkdir()
    for steps in (2, 3):
        attach_and_train(steps, log="runs/a.jsonl", wav="sounds/a.wav")

    assert (steps_of("runs/a.1.jsonl"), steps_in("sounds/a.1.wav")) == (2, 2)
    assert (steps_of("runs/a.jsonl"), steps_in("sounds/a.wav")) == (3, 3)


def test_sounds_without_runs_are_kept() -> None:
    """With log=None, an older sound gets a number too."""
    for steps in (2, 3):
        attach_and_train(steps, log=None, wav="x.wav")

    assert [steps_in(name) for name in ("x.1.wav", "x.wav")] == [2, 3]
    assert files() == ["x.1.vtt", "x.1.wav", "x.vtt", "x.wav"]


def test_a_sound_that_is_still_rendered_follows_its_run() -> None:
    """A run file that gets a number while it grows gives it to its sound at the end."""
    models = [small(), small(), small()]
    attachments = [gradsound.attach(model, wav="run.wav") for model in models]
    for steps, model in enumerate(models, 2):
        train(model, sgd(model), steps)
    for index in (1, 2, 0):
        attachments[index].close()

    assert [steps_of(f"run{k}.jsonl") for k in (".1", ".2", "")] == [2, 3, 4]
    assert_belongs("run.1", "run.2", "run")
    assert len(files()) == 9 + 1


@pytest.mark.parametrize("first", [0, 1])
def test_two_runs_that_share_a_sound_lose_none(first: int) -> None:
    """Two run files with one sound between them: in either order, both sounds stay."""
    models = [small(), small()]
    attachments = [
        gradsound.attach(model, log=f"{k}.jsonl", wav="x.wav")
        for k, model in enumerate(models)
    ]
    for steps, model in enumerate(models, 2):
        train(model, sgd(model), steps)
    attachments[first].close()
    attachments[1 - first].close()

    sounds = [steps_in(name) for name in ("x.1.wav", "x.wav")]
    assert sounds == ([2, 3] if first == 0 else [3, 2])


def test_an_attachment_that_fails_changes_no_name() -> None:
    """If attach() fails after it renamed run and sound, they get their names back."""
    attach_and_train(2, wav="run.wav")
    before = {name: Path(name).read_bytes() for name in files()}
    with socket.create_server(("127.0.0.1", 0)) as server:
        page = PageSink(port=server.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            gradsound.attach(small(), wav="run.wav", live=page)

    assert {name: Path(name).read_bytes() for name in files()} == before


def test_a_late_renderer_yields_to_the_sound_of_the_whole_run() -> None:
    """A renderer whose training goes on elsewhere replaces no sound of the run."""
    for name in ("late.wav", "late.vtt", "run.wav"):
        Path(name).write_text(name)
    _publish(Path("late.wav"), Path("run.wav"), replaces=False, yields=True)
    assert Path("run.wav").read_text() == "run.wav"
    assert files() == ["late.vtt", "late.wav", "run.wav"]

    _publish(Path("late.wav"), Path("new.wav"), replaces=False, yields=True)
    assert files() == ["new.vtt", "new.wav", "run.wav"]


def test_six_trainings_that_start_at_once_share_nothing() -> None:
    """Six processes with one name make six run files, each with its own sound."""
    code = f"""if True:
        import sys, time
        sys.path.insert(0, {str(TESTS)!r})
        import gradsound
        from helpers.models import *
        model = small()
        optimizer = sgd(model)
        steps = int(sys.argv[2])
        time.sleep(max(float(sys.argv[1]) - time.time(), 0))
        with gradsound.attach(model, optimizer, wav="run.wav", comment=str(steps)):
            train(model, optimizer, steps)
    """
    start = str(time.time() + 12)
    processes = [
        subprocess.Popen([sys.executable, "-c", code, start, str(steps)])
        for steps in range(2, 8)
    ]
    assert [process.wait() for process in processes] == [0] * 6

    stems = [name.removesuffix(".jsonl") for name in files() if name.endswith(".jsonl")]
    assert len(stems) == 6
    lengths = [steps_in(f"{stem}.wav") for stem in stems]
    np.testing.assert_array_equal(lengths, [steps_of(f"{stem}.jsonl") for stem in stems])
    assert sorted(lengths) == [2, 3, 4, 5, 6, 7]
    assert len(files()) == 18


def test_ranks_of_two_jobs_in_one_folder_share_nothing() -> None:
    """Two torchrun jobs at once, with a file for each rank: each file names its job."""
    code = f"""if True:
        import atexit, sys, time
        atexit.register(time.sleep, 0.5)  # as in helpers/ranks.py
        sys.path.insert(0, {str(TESTS)!r})
        import torch.distributed as dist
        import gradsound
        from helpers.models import *
        dist.init_process_group("gloo")
        model = small()
        optimizer = sgd(model)
        steps = int(sys.argv[1]) + dist.get_rank()
        with gradsound.attach(model, optimizer, ranks="each", comment=sys.argv[1]):
            train(model, optimizer, steps)
        dist.barrier()
        dist.destroy_process_group()
    """
    Path("script.py").write_text(code)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    jobs = [
        subprocess.Popen([*launch, "--nproc-per-node=2", "script.py", steps])
        for steps in ("3", "5")
    ]
    assert [job.wait(120) for job in jobs] == [0, 0]

    runs = [gradsound.read_run(path) for path in Path().glob("*.jsonl")]
    assert sorted(sum(1 for _ in run.steps) for run in runs) == [3, 4, 5, 6]
    jobs_by_training = {run.header.training: run.header.comment for run in runs}
    assert sorted(jobs_by_training.values()) == ["3", "5"]
    for run in runs:
        assert run.header.comment == jobs_by_training[run.header.training]
