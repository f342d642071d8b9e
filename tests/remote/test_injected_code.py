"""The code that another process runs, run here by a training between two of its steps.

So every Python tests it. Only the request of the system is missing: tests/newest has that.
"""

from __future__ import annotations

import ast
import json
from pathlib import Path

import numpy as np
import pytest
from helpers.scripts import execute

import gradsound
from gradsound.remote import injected_code
from gradsound.script.run_options import RunOptions

OURS = Path(gradsound.__file__).parents[1]
BEGIN = """
import sys
from pathlib import Path
import torch
from torch import nn
torch.manual_seed(0)
torch.set_num_threads(1)
def obey(name):
    if len(sys.argv) > 1:
        exec(compile(Path(name, "code.py").read_text(), "<string>", "exec"), {})
def loss_of(model):
    return model(torch.rand(8, 3)).square().mean()
def net():
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Dropout(0.1), nn.Linear(4, 1))
"""
LOOP = """
model = net()
optimizer = torch.optim.AdamW(model.parameters(), lr=0.125)
for step in range(60):
    if step in (10, 40):
        obey(f"order{step}")
    optimizer.zero_grad()
    loss_of(model).backward()
    nn.utils.clip_grad_norm_(model.parameters(), 0.5)
    if step == 20:
        obey("order20")
    optimizer.step()
"""


def give_order(folder: Path, step: int, action: str, **options: object) -> None:
    """Writes an order, as a command does, which the training obeys at a step."""
    place = folder / f"order{step}"
    place.mkdir()
    text = Path(injected_code.__file__).read_text()
    (place / "code.py").write_text(f"{text}\nanswer({str(place)!r}, {str(OURS)!r})\n")
    order: dict[str, object] = {"action": action, "workers": 0, "name": "test"}
    if action == "attach":
        attach = {"comment": "tonight", "preset": "chord"}
        order["options"] = RunOptions(
            folder / "run.jsonl", attach={**attach, **options}
        ).to_data()
    (place / "order").write_text(json.dumps(order))


def answers(folder: Path, step: int) -> list[tuple[str, str]]:
    """Returns the messages that the training gave."""
    report = folder / f"order{step}" / "report"
    lines = report.read_text().splitlines() if report.exists() else []
    pairs = [line.split(" ", 1) for line in lines]
    return [(kind, ast.literal_eval(text)) for kind, text in pairs]


def train(folder: Path, code: str, *words: str) -> str:
    """Runs a training, which must succeed; returns its output."""
    (folder / "train.py").write_text(code)
    process = execute(["train.py", *words], folder)
    assert (process.returncode, process.stderr) == (0, ""), process.stderr
    return process.stdout


def test_a_training_is_attached_and_detached(tmp_path: Path) -> None:
    """It is recorded in between, and nothing of ours stays in torch."""
    for step, action in ((10, "attach"), (20, "attach"), (40, "detach")):
        give_order(tmp_path, step, action)
    end = """
from torch.optim.optimizer import _global_optimizer_pre_hooks
print(len(_global_optimizer_pre_hooks), len(optimizer._optimizer_step_pre_hooks),
      nn.utils.clip_grad_norm_.__code__.co_filename.startswith(torch.__path__[0]),
      torch.autograd.backward.__code__.co_filename.startswith(torch.__path__[0]),
      torch.optim.Optimizer.__init__.__code__.co_filename.startswith(torch.__path__[0]))
print(sys.path, len(sys.meta_path), torch.rand(1), loss_of(model).item())
"""
    bare = train(tmp_path, BEGIN + LOOP + end)
    attached = train(tmp_path, BEGIN + LOOP + end, "attached")
    run = gradsound.read_run(tmp_path / "run.jsonl")
    steps = [*run.steps]

    assert bare.startswith("0 0 True True True\n")
    assert attached == bare
    assert run.header.comment == "tonight"
    assert [step.number for step in steps] == [*range(29)]
    assert all(np.isfinite(step.norms).all() for step in steps)
    assert all(step.raw is not None for step in steps)
    assert all(set(step.values) == {"lr", "loss"} for step in steps)
    assert answers(tmp_path, 10) == [
        ("found", "AdamW"),
        ("records", "records Sequential (2 layers, AdamW) in run.jsonl"),
    ]
    ((kind, text),) = answers(tmp_path, 20)
    assert kind == "error"
    assert text.startswith(f"recorded already, in {tmp_path}/run.jsonl; end that with")
    assert answers(tmp_path, 40) == [("done", f"{tmp_path}/run.jsonl")]


def test_old_gradients_make_no_group(tmp_path: Path) -> None:
    """Each network of a GAN has a run, though both have gradients of earlier steps."""
    give_order(tmp_path, 10, "attach")
    code = """
g, d = nn.Linear(2, 3), nn.Sequential(nn.Linear(3, 1))
kept = torch.optim.SGD(nn.Linear(3, 1).parameters(), lr=0.1)  # never steps
first, second = (torch.optim.Adam(m.parameters()) for m in (d, g))
for step in range(20):
    fake = g(torch.rand(8, 2))
    first.zero_grad()
    (d(fake.detach()) - d(torch.rand(8, 3))).mean().backward()
    first.step()
    if step == 10:
        obey("order10")
    second.zero_grad()
    (-d(fake)).mean().backward()
    second.step()
"""
    train(tmp_path, BEGIN + code, "attached")
    runs = [gradsound.read_run(tmp_path / f"run.optimizer{k}.jsonl") for k in (0, 1)]

    assert {run.header.layers for run in runs} == {("0",), ("Linear",)}
    assert [len([*run.steps]) for run in runs] == [9, 8]


@pytest.mark.parametrize("between", [False, True])
def test_a_pair_has_one_run(tmp_path: Path, between: bool) -> None:
    """Optimizers that share a backward pass do so wherever the first look falls."""
    give_order(tmp_path, 10, "attach")
    code = f"""
model = net()
first = torch.optim.SGD(model[0].parameters(), lr=0.01)
second = torch.optim.Adam(model[3].parameters(), lr=0.02)
for step in range(20):
    model.zero_grad()
    if step == 10 and not {between}:
        obey("order10")
    loss_of(model).backward()
    first.step()
    if step == 10 and {between}:
        obey("order10")
    second.step()
"""
    train(tmp_path, BEGIN + code, "attached")
    run = gradsound.read_run(tmp_path / "run.jsonl")

    assert run.header.layers == ("0", "3")
    assert len([*run.steps]) >= 8
    assert all(np.isfinite(step.norms).all() for step in run.steps)


def test_it_never_changes_hooks_that_torch_goes_through(tmp_path: Path) -> None:
    """Inside a hook of an optimizer, it asks to come again; inside a step, it works."""
    give_order(tmp_path, 10, "attach")
    give_order(tmp_path, 11, "attach")
    code = """
class Own(torch.optim.SGD):
    def step(self, closure=None):
        if step == 11:
            obey("order11")
        return super().step(closure)
model = net()
optimizer = Own(model.parameters(), lr=0.1)
optimizer.register_step_pre_hook(lambda *_: obey("order10") if step == 10 else None)
for step in range(20):
    optimizer.zero_grad()
    loss_of(model).backward()
    optimizer.step()
"""
    train(tmp_path, BEGIN + code, "attached")

    assert answers(tmp_path, 10) == [("wait", "hook")]
    assert answers(tmp_path, 11)[0] == ("found", "Own")


@pytest.mark.parametrize(
    ("code", "answer"),
    [
        ("", ("wait", "torch")),
        ("import torch", ("wait", "optimizer")),
        ("sys.modules['torch'] = module = type(sys)('torch')\n"
         "import importlib.machinery\n"
         "module.__spec__ = importlib.machinery.ModuleSpec('torch', None)\n"
         "module.__spec__._initializing = True", ("wait", "import")),
    ],
)  # fmt: skip
def test_what_is_not_ready(tmp_path: Path, code: str, answer: tuple[str, str]) -> None:
    """Without torch, or with a part of it, or without an optimizer, it comes again."""
    give_order(tmp_path, 10, "attach")
    run_code = (
        "import sys\n"
        f"{code}\n"
        "exec(compile(open('order10/code.py').read(), '<string>', 'exec'), {})\n"
    )
    train(tmp_path, run_code)

    assert answers(tmp_path, 10) == [answer]


def test_the_folder_of_a_command_that_has_ended_goes(tmp_path: Path) -> None:
    """A late run of the code removes the folder, and one too many changes nothing."""
    give_order(tmp_path, 10, "attach")
    folder = tmp_path / "order10"
    code = (folder / "code.py").read_text()
    (folder / "order").rename(folder / "taken")
    exec(compile(code, "<string>", "exec"), {})  # noqa: S102
    assert folder.exists()
    (folder / "ended").touch()
    exec(compile(code, "<string>", "exec"), {})  # noqa: S102
    assert not folder.exists()
    injected_code.answer(str(folder), str(OURS))


def test_the_options_reach_the_process(tmp_path: Path) -> None:
    """All options are as before once they have been JSON."""
    options = RunOptions(
        tmp_path / "run.jsonl",
        tmp_path / "run.wav",
        "page",
        {"port": 8421},
        {"layers": ["a*"], "preset": gradsound.PRESETS["ambient"], "budget": 1 / 3},
    )

    assert RunOptions.from_data(json.loads(json.dumps(options.to_data()))) == options
