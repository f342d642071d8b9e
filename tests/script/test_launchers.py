"""`gradsound run` under launchers, and with frameworks as their users write them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.scripts import RUN, execute, run

import gradsound

DEMOS = Path(__file__).parents[2] / "demos"
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
ACCELERATE = ["-m", "accelerate.commands.launch", "--cpu", "--num_processes=1"]
ACCELERATE += ["--num_machines=1", "--mixed_precision=no", "--dynamo_backend=no"]
# What a user's own script does not have, by demo.
OURS = {
    "first_sound": [("import gradsound\n", ""), (r"with gradsound.*:", "if True:")],
    "lightning_fit": [(r"\n    callbacks=.*", "\n    enable_progress_bar=False,")],
    "huggingface_trainer": [(r"\n    callbacks=.*", "")],
    "accelerate_loop": [
        (r"with gradsound.*:", "if True:"),
        (r"attachment.log_values\(loss=loss\)", "pass"),
    ],
    "torchrun_ddp": [
        (r"with gradsound.*:", "if True:"),
        (r"attachment.log_values\(loss=loss\)", "pass"),
        (r"\n    \*_, last = gradsound.*\n.*", "\n    pass"),
    ],
}
EPOCHS = "max_epochs=2,"
SAVE = "\ntorch.save([*{}.parameters()], '{}.pt')\n"


def own_script(demo: str, folder: Path, name: str) -> Path:
    """Writes a demo without gradsound, which saves its weights; returns its path."""
    text = (DEMOS / f"{demo}.py").read_text()
    text = text.replace("enable_progress_bar=False,", "", demo == "lightning_fit")
    for pattern, replacement in OURS[demo]:
        text, count = re.subn(pattern, replacement, text)
        assert count == 1, pattern
    text = re.sub(r"\nimport gradsound\n|from gradsound.*\n", "\n", text)
    text = re.sub(r"\*_, last = gradsound.*\nprint\(.*\)\n", "", text)
    model = "trainer.model" if demo in ("lightning_fit", "huggingface_trainer") else "model"
    save = SAVE.format(model, name)
    if demo == "torchrun_ddp":
        save = f"\nif rank == 0:\n    {save.strip()}\n"
        head, end, tail = text.partition("dist.destroy_process_group()")
        text = head + save + end + tail
    else:
        text += save
    assert "gradsound" not in re.sub(r'"""[\s\S]*?"""', "", text)
    path = folder / f"{name}.py"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("demo", "launcher", "steps", "clipped"),
    [
        ("first_sound", [], 50, False),
        ("lightning_fit", [], 64, True),
        ("huggingface_trainer", [], 64, True),
        ("accelerate_loop", ACCELERATE, 32, True),
        ("torchrun_ddp", TORCHRUN, 50, False),
    ],
)
def test_a_framework_as_it_is(
    tmp_path: Path, demo: str, launcher: list[str], steps: int, clipped: bool
) -> None:
    """Each step has norms and a loss, from the first on; the weights are those without."""
    environment = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    for name, command in (("bare", []), ("ours", RUN)):
        path = own_script(demo, tmp_path, name)
        words = [*launcher, *command, path.name]
        if launcher and not command:
            words = [*launcher, path.name]
        process = execute(words, tmp_path, **environment)
        assert process.returncode == 0, process.stderr
    recorded = [*gradsound.read_run(tmp_path / "run.jsonl").steps]
    bare, ours = (torch.load(tmp_path / f"{name}.pt") for name in ("bare", "ours"))

    assert process.stderr.count("gradsound: records ") == 1
    assert [step.number for step in recorded] == [*range(steps)]
    assert all(np.isfinite(step.norms).all() for step in recorded)
    assert all((step.raw is not None) == clipped for step in recorded)
    losses = [step.values["loss"] for step in recorded]
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:10])
    assert all(step.values["lr"] > 0 or step.number for step in recorded)
    assert all(torch.equal(one, other) for one, other in zip(bare, ours, strict=True))
    assert {path.name for path in tmp_path.glob("*.jsonl")} == {"run.jsonl"}


@pytest.mark.parametrize("demo", ["lightning_fit", "accelerate_loop"])
def test_a_demo_that_attaches_is_not_attached_again(tmp_path: Path, demo: str) -> None:
    """The callback or the attachment of the script records alone."""
    process = run(DEMOS / f"{demo}.py", folder=tmp_path, HF_HUB_OFFLINE="1")

    assert process.returncode == 0, process.stderr
    assert not (tmp_path / "run.jsonl").exists()
    assert len([*tmp_path.glob("*.jsonl")]) == 1
    assert "the script records itself" in process.stderr


def test_the_loss_of_a_framework_is_that_of_its_callback(tmp_path: Path) -> None:
    """With Lightning's accumulation, both record the mean of the batches."""
    text = (DEMOS / "lightning_fit.py").read_text()
    text = text.replace(EPOCHS, f"{EPOCHS} accumulate_grad_batches=2,")
    (tmp_path / "theirs.py").write_text(text)
    ours = own_script("lightning_fit", tmp_path, "ours")
    ours.write_text(
        ours.read_text().replace(EPOCHS, f"{EPOCHS} accumulate_grad_batches=2,")
    )
    for process in (execute(["theirs.py"], tmp_path), run("ours.py", folder=tmp_path)):
        assert process.returncode == 0, process.stderr
    losses = [
        [step.values["loss"] for step in gradsound.read_run(tmp_path / name).steps]
        for name in ("lightning.jsonl", "run.jsonl")
    ]

    assert len(losses[0]) == 32
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-6)
