"""`gradsound run` finds optimizers, models, losses and the scaler, and changes nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.scripts import LOOP, execute, run, run_code

import gradsound

MODEL = """
import sys
import torch
from torch import nn
torch.manual_seed(0)
torch.set_num_threads(1)
def net():
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
def loss_of(model):
    return model(torch.rand(8, 3)).square().mean()
def train(model, optimizer, steps=5):
    for _ in range(steps):
        optimizer.zero_grad()
        loss_of(model).backward()
        optimizer.step()
"""


def steps_of(path: Path) -> list[gradsound.Step]:
    return [*gradsound.read_run(path).steps]


def layers_of(path: Path) -> tuple[str, ...]:
    return gradsound.read_run(path).header.layers


def files(folder: Path) -> dict[str, int]:
    """Returns the number of steps of each run file."""
    return {path.name: len(steps_of(path)) for path in sorted(folder.glob("*.jsonl"))}


def test_a_loop_is_recorded_from_its_first_step(tmp_path: Path) -> None:
    """Every step has norms, loss and learning rate; a line tells what is recorded."""
    process = run_code(
        LOOP + "print(losses)", tmp_path, "--comment", "try", "--layers", "0"
    )
    run = gradsound.read_run(tmp_path / "run.jsonl")
    steps = [*run.steps]

    assert process.stderr == "gradsound: records Sequential (1 layer, SGD) in run.jsonl\n"
    assert (run.header.layers, run.header.comment) == (("0",), "try")
    assert [step.number for step in steps] == [*range(5)]
    assert [step.values["loss"] for step in steps] == eval(process.stdout)  # noqa: S307
    assert {step.values["lr"] for step in steps} == {0.125}
    assert all(np.isfinite(step.norms).all() for step in steps)


def test_signals_are_measured_from_the_first_step(tmp_path: Path) -> None:
    """Each option names one; plain SGD has no signal-to-noise ratio, as a line says."""
    options = "--signals", "zeros", "--signals", "update_ratio", "--signals", "snr"
    process = run_code(LOOP, tmp_path, *options)
    run = gradsound.read_run(tmp_path / "run.jsonl")

    assert "snr has no numbers, because SGD without momentum" in process.stderr
    assert run.header.signals["update_ratio"] == "from the weights, every 4th step"
    assert [[*step.signals] for step in run.steps] == [
        ["update_ratio", "zeros"],
        [],
        [],
        [],
        ["update_ratio"],
    ]


# Each trains `model` by `optimizer`.
LOOPS = {
    "plain": "train(model, optimizer)",
    "clip": """
from torch.nn.utils import clip_grad_norm_
for k in range(6):
    optimizer.zero_grad()
    loss_of(model).backward()
    clip_grad_norm_(model.parameters(), 0.1)
    optimizer.step()
""",
    "discard": """
for k in range(6):
    loss_of(model).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)
    if k not in (0, 3):
        optimizer.step()
    optimizer.zero_grad()
""",
    "scaler": """
scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
attached(scaler)
for k in range(6):
    optimizer.zero_grad()
    loss = loss_of(model)
    scaler.scale(loss * torch.inf if k in (0, 3) else loss).backward()
    scaler.unscale_(optimizer)
    torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)
    scaler.step(optimizer)
    scaler.update()
""",
    "scaler without clipping": """
scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
attached(scaler)
for k in range(6):
    optimizer.zero_grad()
    loss = loss_of(model)
    scaler.scale(loss * torch.inf if k in (0, 3) else loss).backward()
    scaler.step(optimizer)
    scaler.update()
""",
    "closure": """
def closure():
    optimizer.zero_grad()
    loss = loss_of(model)
    loss.backward()
    torch.nn.utils.clip_grad_value_(model.parameters(), 0.01)
    return loss
for _ in range(5):
    optimizer.step(closure)
""",
    "compiled": """
@torch.compile(backend="aot_eager")
def step(x):
    optimizer.zero_grad()
    model(x).square().mean().backward()
    optimizer.step()
for _ in range(5):
    step(torch.rand(8, 3))
""",
}


@pytest.mark.parametrize("name", LOOPS)
def test_a_run_equals_an_attached_one(tmp_path: Path, name: str) -> None:
    """Norms before and after clipping, skipped steps and weights are those of attach()."""
    begin = f"""{MODEL}
model = net()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
def attached(scaler): pass
"""
    attach = """
import gradsound
def attached(scaler):
    gradsound.attach(model, optimizer, scaler=scaler, log="attached.jsonl")
"""
    if "scaler" not in name:
        attach += "attached(None)\n"
    end = "\ntorch.save(model.state_dict(), sys.argv[1])\n"
    for part, kind in (("", "run"), (attach, "attached"), ("", "bare")):
        path = tmp_path / f"{kind}.py"
        path.write_text(begin + part + LOOPS[name] + end)
        words = (path.name, f"{kind}.pt")
        process = (
            run(*words, folder=tmp_path) if kind == "run" else execute(words, tmp_path)
        )
        assert process.returncode == 0, process.stderr
    ours, theirs = steps_of(tmp_path / "run.jsonl"), steps_of(tmp_path / "attached.jsonl")

    assert len(ours) == len(theirs) >= 5
    for one, other in zip(ours, theirs):
        assert one.number == other.number
        np.testing.assert_array_equal(one.norms, other.norms)
        np.testing.assert_array_equal(one.raw, other.raw)
        assert (one.skipped, one.discarded) == (other.skipped, other.discarded)
        assert one.loss_scale == other.loss_scale
        assert "loss" in one.values or name == "compiled"
    assert_equal_weights(tmp_path, "bare", "run", "attached")


def assert_equal_weights(folder: Path, *kinds: str) -> None:
    """Checks that saved weights are equal to the last bit."""
    import torch

    first, *others = (torch.load(folder / f"{kind}.pt") for kind in kinds)
    for other in others:
        assert [*first] == [*other]
        assert all(torch.equal(first[name], other[name]) for name in first)


def test_the_loss_is_the_mean_of_accumulated_batches(tmp_path: Path) -> None:
    """It is so whether the training divides by their number or not, and scales or not."""
    code = (
        MODEL
        + """
scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
model = net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
means = []
for k in range(4):
    losses = [loss_of(model) for _ in range(3)]
    means.append(sum(loss.item() for loss in losses) / 3)
    for loss in losses:
        if k % 2:
            loss = loss / 3
        if k > 1:
            loss = scaler.scale(loss)
        loss.backward()
    scaler.step(optimizer) if k > 1 else optimizer.step()
    optimizer.zero_grad()
    if k > 1:
        scaler.update()
torch.autograd.backward([model(torch.rand(8, 3))], [torch.ones(8, 1)])
optimizer.step()
print(means)
"""
    )
    process = run_code(code, tmp_path)
    steps = steps_of(tmp_path / "run.jsonl")

    means = eval(process.stdout)  # noqa: S307
    np.testing.assert_allclose(
        [step.values["loss"] for step in steps[:4]], means, rtol=1e-6
    )
    assert "loss" not in steps[4].values  # eight numbers are no loss
    assert [step.loss_scale for step in steps] == [None] * 5


def test_a_gan_has_a_run_each(tmp_path: Path) -> None:
    """Optimizers with a backward pass each have a run each, whose files have numbers."""
    code = (
        MODEL
        + """
class Generator(nn.Linear): pass
class Critic(nn.Linear): pass
g, d = Generator(2, 3), Critic(3, 1)
g_optimizer, d_optimizer = (torch.optim.Adam(m.parameters()) for m in (g, d))
for _ in range(4):
    fake = g(torch.rand(8, 2))
    d_optimizer.zero_grad()
    (d(fake.detach()) - d(torch.rand(8, 3))).mean().backward()
    d_optimizer.step()
    g_optimizer.zero_grad()
    (-d(fake)).mean().backward()
    g_optimizer.step()
"""
    )
    process = run_code(code, tmp_path)

    assert files(tmp_path) == {"run.optimizer0.jsonl": 4, "run.optimizer1.jsonl": 4}
    assert layers_of(tmp_path / "run.optimizer0.jsonl") == ("Critic",)
    assert "records Critic (1 layer, Adam) in run.optimizer0.jsonl; each" in process.stderr
    assert "records Generator (1 layer, Adam) in run.optimizer1.jsonl" in process.stderr


def test_a_gan_in_one_module_has_a_run_each(tmp_path: Path) -> None:
    """If one module has both networks, each run has the layers of its optimizer."""
    code = (
        MODEL
        + """
model = nn.ModuleDict({"g": nn.Linear(2, 3), "d": nn.Linear(3, 1)})
optimizers = [torch.optim.Adam(model[name].parameters()) for name in "dg"]
for _ in range(4):
    fake = model["g"](torch.rand(8, 2))
    model.zero_grad()
    (model["d"](fake.detach()) - model["d"](torch.rand(8, 3))).mean().backward()
    optimizers[0].step()
    model.zero_grad()
    (-model["d"](fake)).mean().backward()
    optimizers[1].step()
"""
    )
    run_code(code, tmp_path)

    assert files(tmp_path) == {"run.optimizer0.jsonl": 4, "run.optimizer1.jsonl": 4}
    layers = [
        gradsound.read_run(tmp_path / f"run.optimizer{k}.jsonl").header.layers
        for k in (0, 1)
    ]
    assert layers == [("d",), ("g",)]


def test_optimizers_of_one_backward_pass_are_one_run(tmp_path: Path) -> None:
    """Optimizers that step after the same backward pass make one step together."""
    code = (
        MODEL
        + """
model = net()
first = torch.optim.SGD(model[0].parameters(), lr=0.01)
second = torch.optim.Adam(model[2].parameters(), lr=0.02)
for _ in range(4):
    first.zero_grad(); second.zero_grad()
    loss_of(model).backward()
    first.step(); second.step()
"""
    )
    process = run_code(code, tmp_path)
    steps = steps_of(tmp_path / "run.jsonl")

    assert files(tmp_path) == {"run.jsonl": 4}
    assert layers_of(tmp_path / "run.jsonl") == ("0", "2")
    assert all(np.isfinite(step.norms).all() for step in steps)
    assert all("loss" in step.values for step in steps)
    assert "(2 layers, SGD and Adam after one backward pass) in run.jsonl" in process.stderr


@pytest.mark.parametrize("kept", ["", "keep.append((model, optimizer))"])
def test_a_sweep_has_a_run_for_each_model(tmp_path: Path, kept: str) -> None:
    """A new model begins a new run, whether the script keeps the old one or not."""
    code = (
        MODEL
        + f"""
keep = []
for steps in (3, 4, 5):
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    train(model, optimizer, steps)
    {kept}
"""
    )
    run_code(code, tmp_path, "--wav", "run.wav")

    assert files(tmp_path) == {"run.1.jsonl": 3, "run.2.jsonl": 4, "run.jsonl": 5}
    assert {path.name for path in tmp_path.glob("*.wav")} == {
        "run.1.wav",
        "run.2.wav",
        "run.wav",
    }


def test_a_new_optimizer_of_the_same_layers_goes_on_in_the_run(tmp_path: Path) -> None:
    """A training in phases, also of thawed layers, is one run; new layers begin another."""
    code = (
        MODEL
        + """
model = net()
model[0].requires_grad_(False)
optimizer = torch.optim.SGD(model[2].parameters(), lr=0.1)
train(model, optimizer, 3)
model[0].requires_grad_(True)
optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
train(model, optimizer, 4)
other = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(2):
    train(model, other, 1)
    train(model, optimizer, 1)
head = torch.optim.SGD(model[2].parameters(), lr=0.1)
train(model, head, 2)
model.add_module("3", nn.Linear(1, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
train(model, optimizer, 6)
"""
    )
    process = run_code(code, tmp_path)
    steps = steps_of(tmp_path / "run.1.jsonl")

    assert files(tmp_path) == {"run.1.jsonl": 13, "run.jsonl": 6}
    absent = [bool(step.absent[0]) for step in steps]
    assert absent == [True] * 3 + [False] * 8 + [True] * 2  # of layer 0
    assert "Warning" not in process.stderr


def test_an_optimizer_inside_another_makes_no_step_of_its_own(tmp_path: Path) -> None:
    """An optimizer that calls another one (SAM, Lookahead) makes one step."""
    code = (
        MODEL
        + """
class Around(torch.optim.Optimizer):
    def __init__(self, parameters, lr):
        super().__init__(parameters, {"lr": lr})
        self.inner = torch.optim.SGD(self.param_groups, lr=lr)
        self.param_groups = self.inner.param_groups
    def step(self, closure=None):
        self.inner.step()
model = net()
train(model, Around(model.parameters(), 0.1), 5)
"""
    )
    run_code(code, tmp_path)

    assert files(tmp_path) == {"run.jsonl": 5}


def test_parameters_of_several_modules_and_of_none_have_names(tmp_path: Path) -> None:
    """Layers of several modules begin with their class, loose ones are places in groups."""
    code = (
        MODEL
        + """
class Actor(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(3, 1)
actor, first, second = Actor(), nn.Linear(3, 1), nn.Linear(3, 1)
bias = torch.zeros(1, requires_grad=True)
groups = [{"params": [*actor.parameters(), *first.parameters()]},
          {"params": [*second.parameters(), bias]}]
optimizer = torch.optim.SGD(groups, lr=0.1)
for _ in range(3):
    optimizer.zero_grad()
    x = torch.rand(8, 3)
    (actor.body(x) + first(x) + second(x) + bias).square().mean().backward()
    optimizer.step()
only = torch.zeros(3, requires_grad=True)
optimizer = torch.optim.SGD([only], lr=0.1)
for _ in range(2):
    (only - 1).square().sum().backward()
    optimizer.step()
"""
    )
    process = run_code(code, tmp_path)
    run = gradsound.read_run(tmp_path / "run.1.jsonl")

    names = ("Actor.body", "Linear0", "Linear1", "param_groups[1].2")
    assert run.header.layers == names
    assert all(np.isfinite(step.norms).all() for step in run.steps)
    assert layers_of(tmp_path / "run.jsonl") == ("param_groups[0].0",)
    assert files(tmp_path) == {"run.1.jsonl": 3, "run.jsonl": 2}
    assert "nothing to hear" not in process.stderr


@pytest.mark.parametrize("moment", ["before", "later"])
def test_a_script_that_attaches_itself_is_attached_once(
    tmp_path: Path, moment: str
) -> None:
    """The script's own attachment records alone; one that comes later takes over."""
    code = (
        MODEL
        + f"""
import gradsound
model = net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
if {moment == "later"}:
    train(model, optimizer, 2)
with gradsound.attach(model, optimizer, log="own.jsonl"):
    train(model, optimizer, 5)
"""
    )
    process = run_code(code, tmp_path)

    if moment == "before":
        assert files(tmp_path) == {"own.jsonl": 5}
        assert "the script records itself, and nothing else trains" in process.stderr
    else:
        assert files(tmp_path) == {"own.jsonl": 5, "run.jsonl": 2}


def test_forked_and_spawned_processes_are_not_attached(tmp_path: Path) -> None:
    """Workers of a loader, and trainings in other processes, record nothing."""
    code = (
        MODEL
        + """
import multiprocessing
from torch.utils.data import DataLoader
def other():
    model = net()
    train(model, torch.optim.SGD(model.parameters(), lr=0.1))
    print("trained", flush=True)
if __name__ == "__main__":
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for method in ("fork", "spawn"):
        loader = DataLoader(torch.rand(16, 3), batch_size=4, num_workers=1,
                            multiprocessing_context=method)
        for x in loader:
            optimizer.zero_grad()
            model(x).square().mean().backward()
            optimizer.step()
        process = multiprocessing.get_context(method).Process(target=other)
        process.start()
        process.join()
        assert process.exitcode == 0
"""
    )
    process = run_code(code, tmp_path)

    assert process.stdout == "trained\n" * 2
    assert files(tmp_path) == {"run.jsonl": 8}
    assert process.stderr.count("gradsound: ") == 1


def test_an_exit_without_cleanup_leaves_the_run(tmp_path: Path) -> None:
    """After `os._exit`, status and steps are there, at most the last 0.1 s are missing."""
    (tmp_path / "train.py").write_text(
        MODEL + "import os, time\nmodel = net()\n"
        "optimizer = torch.optim.SGD(model.parameters(), lr=0.1)\n"
        "train(model, optimizer)\ntime.sleep(0.2)\ntrain(model, optimizer, 1)\n"
        "os._exit(9)\n"
    )
    process = run("train.py", folder=tmp_path)

    assert process.returncode == 9
    assert files(tmp_path)["run.jsonl"] >= 5


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("print(1)", "the script does not import torch, so there is nothing to hear"),
        ("import torch", "no optimizer made a step, so there is nothing to hear"),
        (MODEL + "torch.optim.SGD(net().parameters())", "no optimizer made a step"),
    ],
)
def test_a_script_without_training_gets_one_sentence(
    tmp_path: Path, code: str, sentence: str
) -> None:
    """Nothing is written, and one sentence at the end says why."""
    process = run_code(code, tmp_path)

    assert process.stderr.count("\n") == 1
    assert sentence in process.stderr
    assert files(tmp_path) == {}


def test_errors_of_torch_have_no_frame_of_ours(tmp_path: Path) -> None:
    """The traceback of an error in a replaced function is that of Python."""
    for end in (
        "torch.zeros(2, requires_grad=True).backward()",
        "torch.nn.utils.clip_grad_norm_([*map(bad, [1])], 1.0, error_if_nonfinite=True)",
        "torch.optim.SGD([])",
        "torch.amp.GradScaler('cpu').step(optimizer)",
    ):
        (tmp_path / "train.py").write_text(
            MODEL
            + f"""
def bad(_):
    parameter = nn.Parameter(torch.zeros(2))
    parameter.grad = torch.full((2,), torch.nan)
    return parameter
model = net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
train(model, optimizer)
{end}
"""
        )
        ours, python = run("train.py", folder=tmp_path), execute(["train.py"], tmp_path)

        assert "Traceback" in python.stderr
        assert [
            line for line in ours.stderr.splitlines() if not line.startswith("gradsound: ")
        ] == python.stderr.splitlines()
        assert ours.returncode == 1


def test_a_run_that_cannot_begin_is_said_and_the_script_goes_on(tmp_path: Path) -> None:
    """Wrong layers, or a full disk, cost the script nothing."""
    process = run_code(LOOP + "print('done')", tmp_path, "--layers", "absent")

    assert process.stdout == "done\n"
    assert "SGD is not recorded, the script goes on: " in process.stderr
    assert "absent" in process.stderr
    assert process.stderr.count("\n") == 1
    assert files(tmp_path) == {}


def test_resume_goes_on_in_the_file(tmp_path: Path) -> None:
    """``--resume`` goes on in the run file, where ``--start-step`` says."""
    run_code(LOOP, tmp_path, "--resume")
    run_code(LOOP, tmp_path, "--resume", "--start-step", 3)

    assert [step.number for step in steps_of(tmp_path / "run.jsonl")] == [*range(8)]


def test_a_script_may_change_its_folder(tmp_path: Path) -> None:
    """The files are in the folder where the user started the script."""
    (tmp_path / "else").mkdir()
    run_code("import os; os.chdir('else')\n" + LOOP, tmp_path, "--wav", "run.wav")

    assert {path.name for path in tmp_path.iterdir()} >= {"run.jsonl", "run.wav", "run.vtt"}
    assert [*(tmp_path / "else").iterdir()] == []


def test_a_look_for_torch_is_no_import(tmp_path: Path) -> None:
    """Libraries look whether torch is installed; its import is noticed after that."""
    code = (
        """
import importlib.util, sys
assert importlib.util.find_spec("torch") is not None
try:
    import torch.absent
except ModuleNotFoundError:
    pass
"""
        + LOOP
        + """
kind = type(torch.nn.__loader__)
assert type(torch.__spec__.loader) is type(torch.__loader__) is kind
print([finder for finder in sys.meta_path if "gradsound" in repr(finder)])
"""
    )
    process = run_code(code, tmp_path)

    assert process.stdout == "[]\n"
    assert files(tmp_path) == {"run.jsonl": 5}


def test_the_page_plays_the_script_and_tells_its_error(tmp_path: Path) -> None:
    """``--web`` prints the address of a page; Python prints the error of the script."""
    (tmp_path / "train.py").write_text(
        LOOP + "import re, sys, time, urllib.request\n"
        "page = urllib.request.urlopen(open('address').read().strip()).read().decode()\n"
        "print('<html' in page)\nraise ValueError('bad batch')\n"
    )
    # The script reads the address that gradsound prints on its standard error.
    (tmp_path / "start.py").write_text(
        "import runpy, sys\n"
        "class Tee:\n"
        "    def __init__(self, to): self.to = to\n"
        "    def write(self, text):\n"
        "        if 'hear it at ' in text:\n"
        "            address = text.split('hear it at ')[1].splitlines()[0]\n"
        "            open('address', 'w').write(address)\n"
        "        return self.to.write(text)\n"
        "    def flush(self): self.to.flush()\n"
        "sys.stderr = Tee(sys.stderr)\n"
        "runpy.run_path('train.py', run_name='__main__')\n"
    )
    process = run("--web", "--port", 0, "start.py", folder=tmp_path)

    assert process.stdout == "True\n"
    assert process.returncode == 1
    assert process.stderr.endswith("ValueError: bad batch\n")
    assert "gradsound: hear it at http://127.0.0.1:" in process.stderr
    assert files(tmp_path) == {"run.jsonl": 5}
