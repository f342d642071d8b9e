"""`gradsound attach` and `gradsound detach`, in processes of Python 3.14 and later."""

from __future__ import annotations

import os
import re
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from helpers.processes import until
from helpers.targets import command, refuse, target

import gradsound

# Trains until it has made the steps that the file "last" names, if there is one.
BEGIN = """
import os, sys, time
from pathlib import Path
import torch
from torch import nn
torch.manual_seed(0)
torch.set_num_threads(1)
def net():
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Dropout(0.1), nn.Linear(4, 1))
def loss_of(model):
    return model(torch.rand(8, 3)).square().mean()
def goes_on(count=[0]):
    count[0] += 1
    if count[0] == 3:
        print("ready", flush=True)
    time.sleep(0.002)
    return not os.path.exists("stop") and count[0] < 20_000
"""
MODEL = (
    BEGIN + "model = net()\noptimizer = torch.optim.AdamW(model.parameters(), lr=0.125)\n"
)
STEP = """
    optimizer.zero_grad()
    loss = loss_of(model)
    loss.backward()
    optimizer.step()
"""
LOOP = f"{MODEL}\nwhile goes_on():{STEP}\n"


def without_busy(text: str) -> str:
    """Returns an output without the line for a process that answers late."""
    return re.sub(r"gradsound: process \d+ is in a long call; .*\n", "", text)


def attach(pid: int, *options: object, folder: Path) -> str:
    """Attaches, and returns what that printed."""
    process = command("attach", *options, pid, folder=folder)
    assert (process.returncode, without_busy(process.stderr)) == (0, "")
    return process.stdout


def detach(pid: int, *options: object, folder: Path) -> str:
    """Detaches, and returns what that printed."""
    process = command("detach", *options, pid, folder=folder)
    assert (process.returncode, without_busy(process.stderr)) == (0, "")
    return process.stdout


def steps_of(path: Path, least: int = 5) -> list[gradsound.Step]:
    """Returns the steps of a run file, once it has some."""

    def enough() -> bool:
        return path.exists() and len([*gradsound.read_run(path).steps]) >= least

    until(enough, f"{path.name} gets no steps")
    return [*gradsound.read_run(path).steps]


def test_a_training_that_runs(tmp_path: Path) -> None:
    """It is recorded from now on, with losses and rates; detach finishes the files."""
    with target(LOOP, tmp_path) as process:
        told = attach(process.pid, "--comment", "tonight", folder=tmp_path)
        steps_of(tmp_path / "run.jsonl")
        ended = detach(process.pid, folder=tmp_path)
        count = len(steps_of(tmp_path / "run.jsonl"))
        time.sleep(0.3)
        steps = steps_of(tmp_path / "run.jsonl")

    assert told == (
        f"found AdamW in process {process.pid}\n"
        "records Sequential (2 layers, AdamW) in run.jsonl\n"
    )
    run_file = tmp_path / "run.jsonl"
    assert ended == f"process {process.pid} is detached; its run is in {run_file}\n"
    header = gradsound.read_run(run_file).header
    assert (header.layers, header.comment) == (("0", "3"), "tonight")
    assert len(steps) == count
    assert [step.number for step in steps] == [*range(count)]
    assert {step.values["lr"] for step in steps} == {0.125}
    assert all(step.values["loss"] > 0 for step in steps)
    assert all(np.isfinite(step.norms).all() for step in steps)
    assert (tmp_path / "errors").read_text() == ""


def test_weights_and_output_are_those_without(tmp_path: Path) -> None:
    """Attached in the middle, twice, the training has the same bits, output and torch."""
    code = f"""{MODEL}
import numpy, random
from torch.optim.optimizer import _global_optimizer_pre_hooks
numpy.random.seed(0)
random.seed(0)
for step in range(2500):
    goes_on(){STEP}
for function in (torch.autograd.backward, torch.optim.Optimizer.__init__,
                 nn.utils.clip_grad_norm_, torch.amp.GradScaler.step):
    print(function.__qualname__, function.__code__.co_filename)
print(len(_global_optimizer_pre_hooks),
      len(optimizer._optimizer_step_pre_hooks), len(optimizer._optimizer_step_post_hooks))
print(sys.path, len(sys.meta_path))
print(numpy.random.rand(), random.random(), torch.rand(1), loss.item())
torch.save(model.state_dict(), "weights.pt")
"""
    ends = []
    for attached in (False, True):
        folder = tmp_path / str(attached)
        folder.mkdir()
        with target(code, folder) as process:
            for _ in range(2 * attached):
                attach(process.pid, folder=folder)
                detach(process.pid, folder=folder)
            output, _ = process.communicate(timeout=60)
        weights = (folder / "weights.pt").read_bytes()
        ends.append((output, (folder / "errors").read_text(), process.returncode, weights))

    assert {path.name for path in folder.glob("run*")} == {"run.jsonl", "run.1.jsonl"}
    assert ends[0][0].replace(str(tmp_path / "False"), str(folder)) == ends[1][0]
    assert ends[0][1:] == ends[1][1:]


def test_the_end_of_the_training_finishes_the_files(tmp_path: Path) -> None:
    """The sound is complete when the process has ended, and so is the run."""
    with target(LOOP, tmp_path) as process:
        attach(process.pid, "--wav", "run.wav", folder=tmp_path)
        steps_of(tmp_path / "run.jsonl")
        (tmp_path / "stop").touch()
        assert process.wait(60) == 0

    assert (tmp_path / "run.wav").stat().st_size > 1000
    assert (tmp_path / "run.vtt").exists()
    assert (tmp_path / "errors").read_text() == ""


def test_a_page_plays_a_training_that_runs(tmp_path: Path) -> None:
    """The command prints the address of the page, which the process serves."""
    with target(LOOP, tmp_path) as process:
        told = attach(process.pid, "--web", "--port", 0, folder=tmp_path)
        address = re.search(r"^hear it at (http://\S+)$", told, re.MULTILINE)[1]
        with urllib.request.urlopen(address) as page:  # noqa: S310
            assert b"<html" in page.read()
        detach(process.pid, folder=tmp_path)

    assert "from another machine, after: ssh -N -L" in told
    assert (tmp_path / "errors").read_text() == ""


def test_a_second_attachment_is_refused(tmp_path: Path) -> None:
    """It says where the first one records, and how to end it; so for `gradsound run`."""
    with target(LOOP, tmp_path) as process:
        attach(process.pid, folder=tmp_path)
        message = refuse(process.pid, folder=tmp_path)
    end = f"; end that with gradsound detach {process.pid}\n"
    assert message == (
        f"gradsound: process {process.pid}: recorded already, in {tmp_path}/run.jsonl{end}"
    )
    options = ["-m", "gradsound", "run", "--log", "script.jsonl"]
    package = str(Path(gradsound.__file__).parents[1])
    with target(LOOP, tmp_path, options=options, PYTHONPATH=package) as process:
        steps_of(tmp_path / "script.jsonl")
        message = refuse(process.pid, folder=tmp_path)
        assert f"recorded already, in {tmp_path}/script.jsonl" in message
        assert "script.jsonl" in detach(process.pid, folder=tmp_path)
        attach(process.pid, folder=tmp_path)


def test_a_script_that_attaches_itself(tmp_path: Path) -> None:
    """A training that records itself is not attached."""
    code = LOOP.replace(
        "while", "import gradsound\ngradsound.attach(model, optimizer)\nwhile"
    )
    package = str(Path(gradsound.__file__).parents[1])
    with target(code, tmp_path, PYTHONPATH=package) as process:
        message = refuse(process.pid, folder=tmp_path)
        ended = command("detach", process.pid, folder=tmp_path)

    assert "the script records its AdamW itself, with gradsound.attach" in message
    assert ended.returncode == 2
    assert "gradsound neither attached to it nor runs it" in ended.stderr


def test_while_torch_is_imported(tmp_path: Path) -> None:
    """It waits until torch is whole and an optimizer exists."""
    code = "print('ready', flush=True)\n" + LOOP.replace(
        'print("ready", flush=True)', "pass"
    )
    with target(code, tmp_path) as process:
        told = command("attach", "--wait", 100, process.pid, folder=tmp_path)
        steps = steps_of(tmp_path / "run.jsonl")

    assert told.returncode == 0, told.stderr
    assert "records Sequential (2 layers, AdamW)" in told.stdout
    assert all("loss" in step.values for step in steps)
    # A defect of Python, which fails inside the constructor of a named tuple.
    errors = (tmp_path / "errors").read_text()
    assert not errors or errors.startswith("Can't open debugger script")


GAN = """
g, d = nn.Linear(2, 3), nn.Sequential(nn.Linear(3, 1))
kept = torch.optim.SGD(nn.Linear(3, 1).parameters(), lr=0.1)  # never steps
first, second = (torch.optim.Adam(m.parameters()) for m in (d, g))
while goes_on():
    fake = g(torch.rand(8, 2))
    first.zero_grad()
    (d(fake.detach()) - d(torch.rand(8, 3))).mean().backward()
    first.step()
    second.zero_grad()
    (-d(fake)).mean().backward()
    second.step()
"""
PAIR = """
model = net()
first = torch.optim.SGD(model[0].parameters(), lr=0.01)
second = torch.optim.Adam(model[3].parameters(), lr=0.02)
while goes_on():
    first.zero_grad(); second.zero_grad()
    loss_of(model).backward()
    first.step(); second.step()
"""


def test_several_optimizers(tmp_path: Path) -> None:
    """Those of a GAN have a run each, though old gradients lie around; a pair has one."""
    for name, code in (("gan", GAN), ("pair", PAIR)):
        folder = tmp_path / name
        folder.mkdir()
        with target(BEGIN + code, folder) as process:
            told = attach(process.pid, folder=folder)
            if name == "gan":
                assert "each optimizer has a run of its own" in told
                layers = {
                    steps_of(folder / f"run.optimizer{k}.jsonl")[0].norms.shape
                    and gradsound.read_run(folder / f"run.optimizer{k}.jsonl").header.layers
                    for k in (0, 1)
                }
                assert layers == {("0",), ("Linear",)}
            else:
                assert "(2 layers," in told
                assert "after one backward pass) in run.jsonl" in told
                steps = steps_of(folder / "run.jsonl")
                assert all(np.isfinite(step.norms).all() for step in steps)
                assert all("loss" in step.values for step in steps)
            detach(process.pid, folder=folder)


def test_clipping_and_the_loss_scale(tmp_path: Path) -> None:
    """From the first recorded step on, both norms are there, without the loss scale."""
    code = f"""{MODEL}
scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
while goes_on():
    optimizer.zero_grad()
    for _ in range(2):
        scaler.scale(loss_of(model) / 2).backward()
    scaler.unscale_(optimizer)
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1e-6)
    scaler.step(optimizer)
    scaler.update()
"""
    with target(code, tmp_path) as process:
        attach(process.pid, folder=tmp_path)
        steps = steps_of(tmp_path / "run.jsonl", 10)
        detach(process.pid, folder=tmp_path)

    assert all(step.raw is not None and np.isfinite(step.raw).all() for step in steps)
    assert all(np.linalg.norm(step.norms) < 1.01e-6 for step in steps)
    assert all(step.raw.max() > 1e-6 for step in steps)
    assert all(step.raw.max() < 10 for step in steps)
    assert not any(step.skipped or step.discarded for step in steps)
    assert all("loss" in step.values for step in steps)


def test_a_new_model_begins_a_new_run(tmp_path: Path) -> None:
    """A sweep goes on to a second run, of which nobody is told any more."""
    code = f"""{BEGIN}
while not os.path.exists("stop"):
    model = net()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.125)
    while goes_on() and not os.path.exists("next"):{STEP.replace(chr(10), chr(10) + "    ")}
    while os.path.exists("next"):
        os.unlink("next")
"""
    with target(code, tmp_path) as process:
        attach(process.pid, folder=tmp_path)
        steps_of(tmp_path / "run.jsonl")
        (tmp_path / "next").touch()
        until((tmp_path / "run.1.jsonl").exists, "no second run")
        steps_of(tmp_path / "run.jsonl")
        detach(process.pid, folder=tmp_path)

    assert (tmp_path / "errors").read_text() == ""


def test_modules_of_the_script_win(tmp_path: Path) -> None:
    """We import ours from the standard library, and the script imports its own then."""
    names = ("html", "wave")
    for name in names:
        (tmp_path / f"{name}.py").write_text(f"print('own {name}')\n")
    code = LOOP + "import html\n"
    with target(code, tmp_path) as process:
        attach(process.pid, folder=tmp_path)
        steps_of(tmp_path / "run.jsonl")
        (tmp_path / "stop").touch()
        output, _ = process.communicate(timeout=60)

    assert output == "own html\n"
    assert (tmp_path / "errors").read_text() == ""


def test_another_gradsound(tmp_path: Path) -> None:
    """A process that has, or would import, another one is refused; a folder is none."""
    (tmp_path / "gradsound").mkdir()
    with target(LOOP, tmp_path) as process:
        attach(process.pid, folder=tmp_path / "gradsound")
        detach(process.pid, folder=tmp_path)
    (tmp_path / "gradsound" / "__init__.py").touch()
    for code in (LOOP, "import gradsound\n" + LOOP):
        with target(code, tmp_path) as process:
            message = refuse(process.pid, folder=tmp_path.parent)
            place = f"has another gradsound, in {tmp_path}/gradsound: attach by that one, "
            assert place in message
            assert f" -m gradsound attach {process.pid}\n" in message


def test_a_run_that_cannot_begin(tmp_path: Path) -> None:
    """Wrong layers end the attaching with the reason; the training can be attached anew."""
    with target(LOOP, tmp_path) as process:
        ended = command("attach", "--layers", "absent", process.pid, folder=tmp_path)
        attach(process.pid, folder=tmp_path)

    assert ended.returncode == 2
    assert "AdamW is not recorded, the script goes on: no layer" in ended.stderr
    assert "absent" in ended.stderr
    assert (tmp_path / "errors").read_text() == ""


def test_a_long_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It attaches when the call returns; if that is too late, it says so and leaves."""
    code = LOOP.replace("while", "goes_on(), goes_on(), goes_on()\ninput()\nwhile")
    with target(code, tmp_path) as process:
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        message = command("attach", "--wait", 3, process.pid, folder=tmp_path)
        (left,) = tmp_path.glob("gradsound*")
        process.stdin.write("\n")
        process.stdin.flush()
        until(lambda: not left.exists(), "the folder stays")
        assert not (tmp_path / "run.jsonl").exists()
        attach(process.pid, folder=tmp_path)

    assert message.returncode == 2
    first, second = message.stderr.splitlines()
    assert first.endswith("is in a long call; gradsound attaches when that returns")
    assert "is in one long call, such as a transfer or a sleep, for 3 s: try" in second
    assert (tmp_path / "errors").read_text() == ""


@pytest.mark.parametrize(
    ("begin", "message"),
    [
        ("", "has not imported torch after 0.5 s: give the process that trains"),
        ("import torch", "has no optimizer after 0.5 s: give the process that trains"),
    ],
)
def test_a_process_that_does_not_train(tmp_path: Path, begin: str, message: str) -> None:
    """Without torch, or without an optimizer, it is refused after a wait."""
    code = f"{begin}\nimport time\nprint('ready', flush=True)\nwhile True: time.sleep(0.01)"
    with target(code, tmp_path) as process:
        assert message in refuse("--wait", 0.5, process.pid, folder=tmp_path)

    assert (tmp_path / "errors").read_text() == ""


@pytest.mark.parametrize("way", ["variable", "option"])
def test_remote_debugging_switched_off(tmp_path: Path, way: str) -> None:
    """Python can forbid it, by a variable and by an option."""
    options = ["-X", "disable-remote-debug"] if way == "option" else []
    variables = {"PYTHON_DISABLE_REMOTE_DEBUG": "1"} if way == "variable" else {}
    with target(LOOP, tmp_path, options=options, **variables) as process:
        message = refuse(process.pid, folder=tmp_path)

    assert "has remote debugging switched off: start it without" in message


def test_ctrl_c_is_for_the_training(tmp_path: Path) -> None:
    """An interrupt ends an attached training with its own traceback, and the files."""
    with target(LOOP, tmp_path) as process:
        attach(process.pid, "--wav", "run.wav", folder=tmp_path)
        steps_of(tmp_path / "run.jsonl")
        process.send_signal(2)
        assert process.wait(60) != 0

    assert "KeyboardInterrupt" in (tmp_path / "errors").read_text()
    assert (tmp_path / "run.wav").stat().st_size > 1000


RANKS = """
import torch.distributed as dist
dist.init_process_group("gloo", init_method=f"file://{os.getcwd()}/store",
                        rank=int(os.environ["RANK"]), world_size=2)
"""
LAUNCHER = """
import os, subprocess, sys, time
for rank in range(2):
    variables = {**os.environ, "RANK": str(rank)}
    subprocess.Popen([sys.executable, "worker.py"], env=variables, stdout=sys.stdout)
while True:
    time.sleep(0.01)
"""
WRAPS = {
    "ddp": "model = nn.parallel.DistributedDataParallel(net())",
    "fsdp": (
        "from torch.distributed.device_mesh import init_device_mesh\n"
        "from torch.distributed.fsdp import fully_shard\n"
        "model = net()\nfully_shard(model, mesh=init_device_mesh('cpu', (2,)))"
    ),
}


@pytest.mark.parametrize("wrap", WRAPS)
def test_workers_of_a_launcher(tmp_path: Path, wrap: str) -> None:
    """With --all, all ranks take part; rank 0 suffices where each has all gradients."""
    worker = (
        BEGIN.replace("print(", "os.environ['RANK'] == '0' and print(").replace(
            "not os.path.exists('stop')", "True"
        )
        + RANKS
        + WRAPS[wrap]
        + "\noptimizer = torch.optim.AdamW(model.parameters(), lr=0.01)\n"
        + f"while goes_on():{STEP}\n"
    )
    (tmp_path / "worker.py").write_text(worker)
    with target(LAUNCHER, tmp_path) as launcher:
        try:
            told = attach(launcher.pid, "--all", folder=tmp_path)
            steps = steps_of(tmp_path / "run.jsonl", 20)
            ended = detach(launcher.pid, "--all", folder=tmp_path)
            children = _children(launcher.pid)
            if wrap == "ddp":
                zero, one = children
                assert "it is rank 1, and rank 0 records" in refuse(one, folder=tmp_path)
                attach(zero, "--log", "zero.jsonl", folder=tmp_path)
                steps_of(tmp_path / "zero.jsonl")
                detach(zero, folder=tmp_path)
            else:
                message = refuse(children[0], folder=tmp_path)
                assert "each of 2 processes has a part of the model" in message
                attach(launcher.pid, "--all", folder=tmp_path)
                steps_of(tmp_path / "run.jsonl")
        finally:
            for child in _children(launcher.pid):
                os.kill(child, 9)

    assert "(2 layers, AdamW) in run.jsonl" in told
    assert f"its run is in {tmp_path}/run.jsonl" in ended
    assert all(np.isfinite(step.norms).all() for step in steps)
    errors = (tmp_path / "errors").read_text()
    assert "gradsound" not in errors


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]
