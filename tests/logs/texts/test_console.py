"""Consoles: lines as each tool prints them, its step and its norm."""

from __future__ import annotations

import io
from math import inf, nan
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.text_logs import Steps, grow, read_text, times, to_steps

from gradsound import read_run
from gradsound.errors import RunFormatError
from gradsound.logs.texts import console

# Of each tool: lines as its source prints them, the first step, and its values.
TITAN = (
    "[rank0]:[titan] 2026-01-02 10:00:00,125 - root - INFO - \x1b[31mstep:  1  "
    "\x1b[32mloss: 12.21875  \x1b[38;2;180;60;0mgrad_norm:  4.2048  \x1b[36mmemory:  "
    "3.32GiB(4.19%)  \x1b[34mtps: 1,234  \x1b[36mtflops: 1,012.50  \x1b[35mmfu: 1.20%"
    "\x1b[0m\n"
)
MEGATRON = (
    " [2026-01-02 10:00:00] iteration       10/     100 | consumed samples:           80 |"
    " elapsed time per iteration (ms): 1234.5 | learning rate: 1.500000E-04 |"
    " lm loss: 1.025000E+01 | loss scale: 1.0 | grad norm: 1.234 | num zeros: 0 |"
    " number of skipped iterations:   0 | number of nan iterations:   0 |\n"
)
FAIRSEQ_JSON = (
    '2026-01-02 10:00:00 | INFO | train_inner | {"epoch": 1, "update": 0.1, '
    '"loss": "15.1", "num_updates": "100", "lr": "1e-05", "gnorm": "1.25"}\n'
)
FAIRSEQ = (
    "2026-01-02 10:00:00 | INFO | train_inner | epoch 001:    100 / 1000 loss=15.1, "
    "wps=0, num_updates=100, lr=1e-05, gnorm=1.25, clip=0, wall=40\n"
)
OLMO_CORE = (
    "2026-01-02 10:00:00.125\thost:0\tolmo_core.train:94\tINFO\t"
    "[step=10/???,epoch=1,eta=0:10]\n    train/CE loss=11.12\n"
    "    optim/total grad norm=1,234.5\n    throughput/device/TPS=12,345\nother: 5\n"
)
COMPOSER = (
    "[epoch=1][batch=10/10]:\n\t Train time/epoch: 0\n"
    "\t Train l2_norm/grad/global: 2.5000\n"
    "\t Train loss/train/total: 11.5000\n[Eval batch=1/10] Eval on eval data:\n"
    "\t Eval metrics/eval/Accuracy: 0.5000\n[epoch=2][batch=1/10]:\n"
    "\t Train l2_norm/grad/global: 2.7500\n"
)
VERL = (
    "(TaskRunner pid=1234) step:10 - global_seqlen/min:1000 - "
    "actor/pg_loss:np.float64(-0.5) - actor/grad_norm:np.float64(0.25) - "
    "training/global_step:10.000\n"
)
SWIFT = (
    "{'loss': 1.25, 'grad_norm': 0.5, 'memory(GiB)': 14.5, 'train_speed(iter/s)': 0.1, "
    "'epoch': 0.05, 'global_step/max_steps': '10/60', 'percentage': '1.67%', "
    "'elapsed_time': '3s', 'remaining_time': '3m 1s'}\n"
)
LIGHTNING = (
    "\rEpoch 0:   0%|          | 0/100 [00:00<?, ?it/s]"
    "\rEpoch 0:  10%|█         | 10/100 [00:10<01:30,  1.00it/s, v_num=0, grad_norm=0.5]"
    "\rEpoch 1:  20%|██        | 20/100 [00:20<01:20,  1.00it/s, v_num=0, grad_norm=0.75]\n"
)
KERAS = (
    "Epoch 1/2\n\r 10/100 ━━━━━━━━━━━━━━━━━━━━ 1s 5ms/step - grad_norm: 1.5 - loss: 0.5"
    "\nEpoch 2/2\n\r 10/100 ━━━━━━━━━━━━━━━━━━━━ 1s 5ms/step - grad_norm: 2.5 - loss: 0.5\n"
)
MMENGINE = (
    "2026/01/02 10:00:00 - mmengine - INFO - Epoch(train)  [1][  10/1000]  lr: 2.0e-04  "
    "eta: 1:00:00  time: 0.5  data_time: 0.01  grad_norm: 12.25  loss: 2.25\n"
)
SWIN = (
    "[2026-01-02 10:00:00 swin_tiny](main.py 219): INFO Train: [0/300][10/1251]\t"
    "eta 0:20:00 lr 0.000001\t wd 0.0500\ttime 1.0000 (1.1000)\tloss 6.9000 (6.9100)\t"
    "grad_norm 1.2500 (1.3000)\tloss_scale 65536.0000\tmem 10000MB\n"
)
NANOTRON = (
    "01/02/2026 10:00:00 [INFO|DP=0|PP=0|TP=0|ip-26]: iteration: 10 / 100 | "
    "consumed_tokens: 4.5M | elapsed_time_per_iteration_ms: 1.25K | lm_loss: 12 | "
    "grad_norm: 1.5K\n"
)
LINGUA = (
    "0: INFO    26-01-02 10:00:00.125000 - 0:01:00 - step: 10  acc: 0  loss: 5.125  "
    "grad: 1.25e+00  flops: 1.2e+13  iter: 0.1  data: 0.01 lr: 1.2e-05  pow: 400.0 W\n"
)
LINES: dict[str, tuple[str, float, dict[str, float]]] = {
    "torchtitan": (
        TITAN,
        1,
        {"loss": 12.21875, "grad_norm": 4.2048, "tps": 1234, "tflops": 1012.5, "mfu": 1.2},
    ),
    "Megatron-LM": (
        MEGATRON,
        10,
        {
            "consumed samples": 80,
            "elapsed time per iteration (ms)": 1234.5,
            "learning rate": 1.5e-4,
            "lm loss": 10.25,
            "loss scale": 1,
            "grad norm": 1.234,
            "num zeros": 0,
            "number of skipped iterations": 0,
            "number of nan iterations": 0,
        },
    ),
    "GPT-NeoX": (
        " samples/sec: 43.5 | iteration       10/  320000 | lm_loss: 1.125E+01 | "
        "grad_norm: 2.5 | number of skipped iterations:   0 |\n",
        10,
        {
            "samples/sec": 43.5,
            "lm_loss": 11.25,
            "grad_norm": 2.5,
            "number of skipped iterations": 0,
        },
    ),
    "llm.c": (
        "step   10/18000 | loss 10.970000 (+nanz)| norm 15.3125 (+1.25z)| lr 8.57e-07 | "
        "1000.00 ms | 40.0% bf16 MFU | 500000 tok/s\n",
        10,
        {"loss": 10.97, "norm": 15.3125, "lr": 8.57e-7},
    ),
    "main.log of llm.c": (
        "s:10 trl:10.9700 lr:0.000001 norm:15.31\ns:10 tel:10.5000\n",
        10,
        {"loss": 10.97, "lr": 1e-6, "norm": 15.31, "val_loss": 10.5},
    ),
    "build-nanogpt": (
        "step    10 | loss: 10.955029 | lr 8.3916e-07 | norm: 15.3658 | dt: 338.21ms | "
        "tok/sec: 155.25\n",
        10,
        {"loss": 10.955029, "lr": 8.3916e-7, "norm": 15.3658, "tok/sec": 155.25},
    ),
    "torchtune": (
        "Step 10 | loss:1.75 lr:2e-05 tokens_per_second_per_gpu:1200.5 grad_norm:0.75 \n",
        10,
        {"loss": 1.75, "lr": 2e-5, "tokens_per_second_per_gpu": 1200.5, "grad_norm": 0.75},
    ),
    "fairseq as JSON": (
        FAIRSEQ_JSON,
        100,
        {"epoch": 1, "update": 0.1, "loss": 15.1, "lr": 1e-5, "gnorm": 1.25},
    ),
    "fairseq": (
        FAIRSEQ,
        100,
        {
            "epoch": 1,
            "loss": 15.1,
            "wps": 0,
            "lr": 1e-5,
            "gnorm": 1.25,
            "clip": 0,
            "wall": 40,
        },
    ),
    "OLMo-core": (
        OLMO_CORE,
        10,
        {
            "epoch": 1,
            "train/CE loss": 11.12,
            "optim/total grad norm": 1234.5,
            "throughput/device/TPS": 12345,
        },
    ),
    "Composer": (
        COMPOSER,
        10,
        {"epoch": 1, "time/epoch": 0, "l2_norm/grad/global": 2.5, "loss/train/total": 11.5},
    ),
    "Composer by tokens": (
        "[token=4096/9999]:\n\t Train l2_norm/grad/global: 2.5000\n",
        4096,
        {"token": 4096, "l2_norm/grad/global": 2.5},
    ),
    "a block of one's own": (
        "Iteration 10 | Reward: 0.5\n  Avg Value: 0.25 | LR: 0.125\n  Grad Norm: 2.5\n",
        10,
        {"Reward": 0.5, "Avg Value": 0.25, "LR": 0.125, "Grad Norm": 2.5},
    ),
    "MaxText": (
        "completed step: 10, seconds: 20.585, TFLOP/s/device: 97.5, loss: 12.25, "
        "grad_norm: 1.25e+01\n",
        10,
        {"seconds": 20.585, "TFLOP/s/device": 97.5, "loss": 12.25, "grad_norm": 12.5},
    ),
    "primus": (
        "[\x1b[32m20260102 10:00:00\x1b[0m][\x1b[36mrank-7/8\x1b[0m][\x1b[1mINFO \x1b[0m] "
        "[---trainer.py:2560] : iteration   10/ 5000 | "
        "elapsed time per iteration (ms): 13100.0/13240.9 | grad norm: 0.25 |\x1b[0m\n",
        10,
        {"elapsed time per iteration (ms)": 13100, "grad norm": 0.25},
    ),
    "fairseq with tqdm": (
        "\repoch 001: 100% 1822/1823 [10:27<00:00, 2.97it/s, loss=7.5, num_updates=10, "
        "gnorm=0.875, wall=622]\r",
        10,
        {"epoch": 1, "loss": 7.5, "gnorm": 0.875, "wall": 622},
    ),
    "verl": (
        VERL,
        10,
        {
            "global_seqlen/min": 1000,
            "actor/pg_loss": -0.5,
            "actor/grad_norm": 0.25,
            "training/global_step": 10,
        },
    ),
    "ms-swift": (
        SWIFT,
        10,
        {
            "loss": 1.25,
            "grad_norm": 0.5,
            "memory(GiB)": 14.5,
            "train_speed(iter/s)": 0.1,
            "epoch": 0.05,
            "percentage": 1.67,
        },
    ),
    "Lightning": (LIGHTNING, 10, {"epoch": 0, "v_num": 0, "grad_norm": 0.5}),
    "Lightning with rich": (
        "Epoch 0/9  ━━━━━━━━━━╸━━━━━━━━ 10/100 0:00:10 • 0:01:30 9.9it/s v_num: 0.000 "
        "grad_norm: 1.25\n",
        10,
        {"epoch": 0, "v_num": 0, "grad_norm": 1.25},
    ),
    "Keras": (KERAS, 10, {"epoch": 1, "grad_norm": 1.5, "loss": 0.5}),
    "mmengine": (
        MMENGINE,
        10,
        {
            "epoch": 1,
            "lr": 2e-4,
            "time": 0.5,
            "data_time": 0.01,
            "grad_norm": 12.25,
            "loss": 2.25,
        },
    ),
    "Swin": (
        SWIN,
        10,
        {
            "epoch": 0,
            "lr": 1e-6,
            "wd": 0.05,
            "time": 1,
            "loss": 6.9,
            "grad_norm": 1.25,
            "loss_scale": 65536,
        },
    ),
    "DINO": (
        "Epoch: [0]  [ 10/1000]  eta: 0:10:00  lr: 0.0001  loss: 7.0000 (7.1000)  "
        "grad_norm: 1.5000 (1.4)  max mem: 1000\n",
        10,
        {"epoch": 0, "lr": 1e-4, "loss": 7, "grad_norm": 1.5, "max mem": 1000},
    ),
    "nanotron": (
        NANOTRON,
        10,
        {
            "consumed_tokens": 4.5e6,
            "elapsed_time_per_iteration_ms": 1250,
            "lm_loss": 12,
            "grad_norm": 1500,
        },
    ),
    "Lingua": (
        LINGUA,
        10,
        {
            "acc": 0,
            "loss": 5.125,
            "grad_norm": 1.25,
            "flops": 1.2e13,
            "iter": 0.1,
            "data": 0.01,
            "lr": 1.2e-5,
            "pow": 400,
        },
    ),
    "Marian": (
        "[2026-01-02 10:00:00] Ep. 1 : Up. 1,000 : Sen. 90 : Cost 5.125 : Time 10.00s : "
        "1000.00 words/s : gNorm 1.25\n",
        1000,
        {"epoch": 1, "Up": 1000, "Sen": 90, "Cost": 5.125, "gNorm": 1.25},
    ),
    "ESPnet": (
        "[host] 2026-01-02 10:00:00,125 (trainer:732) INFO: 1epoch:train:1-10batch: "
        "iter_time=0.1, loss=10.5, grad_norm=1.25, clip=100.000\n",
        10,
        {"epoch": 1, "iter_time": 0.1, "loss": 10.5, "grad_norm": 1.25, "clip": 100},
    ),
    "prime-rl": (
        "10:00:00 SUCCESS Step 10 | Time: 1.25s | Loss: 0.1250 | Grad. Norm: 0.5000 | "
        "LR: 1.00e-06 | MFU: 1.5%\n",
        10,
        {"Loss": 0.125, "Grad Norm": 0.5, "LR": 1e-6, "MFU": 1.5},
    ),
    "PaddleNLP": (
        "[2026-01-02 10:00:00,125] [    INFO] - loss: 1.25, learning_rate: 1e-05, "
        "global_step: 10, grad_norm: 0.5\n",
        10,
        {"loss": 1.25, "learning_rate": 1e-5, "grad_norm": 0.5},
    ),
    "slime": (
        "(MegatronTrainRayActor pid=99) model.py:100 - step 10: {'train/loss': 0.5, "
        "'train/grad_norm': 1.5}\n",
        10,
        {"train/loss": 0.5, "train/grad_norm": 1.5},
    ),
    "a tensor": (
        "iter 10 loss tensor(0.5, device='cuda:0') grad_norm tensor(1.5, grad_fn=<Div>)\n",
        10,
        {"loss": 0.5, "grad_norm": 1.5},
    ),
    "an epoch a line": (
        "Epoch: 10 | Train Loss: 0.125 | Grad Norm: 0.5\n",
        10,
        {"Train Loss": 0.125, "Grad Norm": 0.5},
    ),
    "another iteration in all": (
        "Epoch: 3/10 | Iteration: 10/99 | Total iteration: 307/990 | Grad Norm: 1.25 | "
        "Duration: 0.10s/it\n",
        307,
        {"epoch": 3, "Iteration": 10, "Grad Norm": 1.25},
    ),
}


def read(path: Path, text: str, **options: object) -> Steps:
    """Returns the steps in a console without damage."""
    return read_text(console.read, path, text, **options)


@pytest.mark.parametrize("tool", LINES)
def test_each_tool_has_its_line(tmp_path: Path, tool: str) -> None:
    """The step and the plain numbers of a line are read, with the names of the tool."""
    text, step, values = LINES[tool]

    assert console.is_console(text.encode())
    assert read(tmp_path / "x.log", text)[step] == pytest.approx(values)


def test_steps_of_an_epoch_count_on(tmp_path: Path) -> None:
    """Bars and blocks begin again with each epoch, of which the log says the length."""
    path = tmp_path / "x.log"

    assert [*read(path, LIGHTNING)] == [10, 120]
    assert [*read(path, KERAS)] == [10, 110]
    assert [*read(path, COMPOSER)] == [10, 11]


def test_evaluations_belong_to_the_step_before(tmp_path: Path) -> None:
    """Their lines have a count of their own, which is no step."""
    steps = read(
        tmp_path / "x.log",
        MMENGINE
        + "2026/01/02 10:00:00 - mmengine - INFO - Epoch(val)  [1][5/5]  mAP: 0.5\n"
        "\rValidation: 100%|█| 7/7 [00:01<00:00, 7.00it/s, acc=0.25]\n",
    )

    assert [*steps] == [10]
    assert (steps[10]["mAP"], steps[10]["grad_norm"]) == (0.5, 12.25)


def printed(*entries: dict[str, object]) -> str:
    """Returns what Trainer prints by the transformers that is installed, with its bar."""
    callbacks = pytest.importorskip("transformers.trainer_callback")
    file = io.StringIO()
    callback = callbacks.ProgressCallback()
    tqdm = pytest.importorskip("tqdm").tqdm
    state = SimpleNamespace(is_world_process_zero=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", file)
        callback.training_bar = tqdm(total=len(entries), file=file, mininterval=0)
        for entry in entries:
            callback.training_bar.update(1)
            callback.on_log(None, state, None, logs=dict(entry))
        callback.training_bar.close()
    return file.getvalue()


def test_entries_of_trainer_are_counted(tmp_path: Path) -> None:
    """They have no step; an evaluation and the end belong to the step before."""
    text = printed(
        {"loss": 0.5, "grad_norm": 1 / 3, "learning_rate": 5e-5, "epoch": 0.5},
        {"eval_loss": 0.75, "eval_runtime": 1.5, "epoch": 0.5},
        {"loss": 0.25, "grad_norm": nan, "epoch": 1.0},
        {"loss": 0.0, "grad_norm": inf, "epoch": 1.5},
        {"train_runtime": 9.5, "train_loss": 0.375, "epoch": 1.5},
    )
    steps = read(tmp_path / "x.log", text)
    tens = read(tmp_path / "x.log", text, logging_steps=10)

    assert console.is_console(text.encode())
    np.testing.assert_equal(
        {step: values.get("grad_norm") for step, values in steps.items()},
        {1: 0.3333, 2: nan, 3: inf},
    )
    assert steps[1]["eval_loss"] == 0.75
    assert steps[3]["train_loss"] == 0.375
    assert [*tens] == [10, 20, 30]


def test_numbers_of_older_trainers_are_exact(tmp_path: Path) -> None:
    """Up to transformers 4 they are numbers, perhaps glued to the bar."""
    text = (
        "{'loss': 0.5, 'grad_norm': 0.3333333432674408, 'epoch': 0.01}\n"
        "  2%|▏         | 2/100 [00:01<01:38,  1.00s/it]"
        "{'loss': 0.25, 'grad_norm': 3, 'epoch': 1.0}\n"
    )
    steps = read(tmp_path / "x.log", text)

    assert {s: values["grad_norm"] for s, values in steps.items()} == {
        1: 0.3333333432674408,
        2: 3,
    }


def test_entries_before_the_first_norm_are_counted(tmp_path: Path) -> None:
    """DeepSpeed has no norm at the first step."""
    text = "{'loss': 0.5, 'epoch': 0.1}\n{'loss': 0.25, 'grad_norm': 2.5, 'epoch': 0.2}\n"

    assert [*read(tmp_path / "x.log", text)] == [2]


def test_a_bar_of_tqdm_is_read(tmp_path: Path) -> None:
    """What tqdm draws over itself is a line each time."""
    tqdm = pytest.importorskip("tqdm").tqdm
    file = io.StringIO()
    with tqdm(range(5), file=file, mininterval=0, desc="Steps") as bar:
        for k in bar:
            bar.set_postfix(loss=k / 4, grad_norm=k + 0.5)
    steps = read(tmp_path / "x.log", file.getvalue())

    assert {s: values["grad_norm"] for s, values in steps.items()} == {
        **{k: k + 0.5 for k in range(4)},
        4: 4.5,
        5: 4.5,
    }


@pytest.mark.parametrize(
    ("ranks", "lines"),
    [
        ("[rank{}]: ", "step: {}  grad_norm: {}"),
        ("[default{}]:", "step: {}  grad_norm: {}"),
        ("{}: ", "step: {}  grad_norm: {}"),
        ("[1,{}]<stdout>:", "step: {}  grad_norm: {}"),
        ("(WorkerDict pid=12{}) ", "step:{} - actor/grad_norm:{}"),
        ("worker-{}: ", "step: {}  grad_norm: {}"),
        ("[2026-01-02 10:00:00] [INFO] [Rank {}] ", "step={}, grad_norm={}"),
    ],
)
def test_of_several_ranks_the_lowest_counts(tmp_path: Path, ranks: str, lines: str) -> None:
    """Ranks print in any order; a lower one without norms does not count."""
    text = "".join(
        f"{ranks.format(rank)}{lines.format(step, 10 * rank + step)}\n"
        if rank
        else f"{ranks.format(rank)}step 100 is the end, seed: 7\n"
        for step, order in enumerate([(3, 0, 2), (2, 3, 0), (0, 3, 2)], 1)
        for rank in order
    )
    steps = read(tmp_path / "x.log", text)

    assert [[*values.values()] for values in steps.values()] == [[21], [22], [23]]


@pytest.mark.parametrize(
    ("prefix", "seconds"),
    [
        ("2026-01-02 10:00:00,125 - root - INFO - ", 1767348000.125),
        ("[2026-01-02T10:00:00.125Z] ", 1767348000.125),
        ("2026-01-02T12:00:00+02:00 ", 1767348000),
        ("01/02/2026 10:00:00 - INFO - train - ", 1767348000),
        ("13/02/2026 10:00:00 ", 1770976800),
        ("2026/01/02 10:00:00 ", 1767348000),
        ("2026-01-02 10:00:00.125 | INFO     | a.trainer:train:481 - ", 1767348000.125),
        ("I20260102 10:00:00 1234 train.py:7] ", 1767348000),
        ("26-01-02 10:00:00 ", 1767348000),
        ("[10:00:00] ", 36000),
        ("2026-99-02 10:00:00 ", nan),
        ("", nan),
    ],
)
def test_the_time_stamp_before_a_line_is_its_time(
    tmp_path: Path, prefix: str, seconds: float
) -> None:
    """It is no value; without a date, seconds count from midnight."""
    path = tmp_path / "x.log"
    steps = read(path, f"{prefix}step: 1 grad_norm: 2.5\n")

    assert steps == {1: {"grad_norm": 2.5}}
    np.testing.assert_equal(times(console.read(path, pytest.fail)), {1: seconds})


def test_a_time_of_day_goes_on_over_midnight(tmp_path: Path) -> None:
    """A time that is half a day earlier is that of the next day."""
    path = tmp_path / "x.log"
    stamps = ["23:59:59", "23:59:58", "00:00:01", "12:00:00", "23:00:00", "00:30:00"]
    path.write_text("".join(f"{t} step {k} gnorm 1\n" for k, t in enumerate(stamps)))

    assert [*times(console.read(path, pytest.fail)).values()] == [
        *(86399, 86398, 86401, 129600, 169200, 174600),
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,234.5", 1234.5),
        ("1.5e-05", 1.5e-5),
        ("1.5E+5", 1.5e5),
        (".5", 0.5),
        ("nan", nan),
        ("NaN", nan),
        ("-inf", -inf),
        ("Infinity", inf),
        ("12.5%", 12.5),
        ("12.5K", 12500),
        ("'0.5'", 0.5),
        ("np.float32(0.5)", 0.5),
        ("tensor([0.5])", 0.5),
        ("[0.5]", 0.5),
        ("9" * 400, inf),
        ("1.#INF", inf),
        ("-1.#IND", nan),
        ("-nan(ind)", nan),
    ],
)
def test_numbers_are_read_as_they_are_printed(
    tmp_path: Path, text: str, value: float
) -> None:
    """Thousands, exponents, percents and factors of thousands are numbers."""
    steps = read(tmp_path / "x.log", f"step 1 | x: {text} | grad_norm: 2.5\n")

    assert steps[1]["x"] == pytest.approx(value, nan_ok=True)


@pytest.mark.parametrize(
    "text",
    ["3.3GiB", "12ms", "0:10:00", "1.5s/it", "2026-01-02", "v2", "0.5.ckpt", "1e", "10/x"],
)
def test_other_text_is_no_value(tmp_path: Path, text: str) -> None:
    """Sizes, times, versions and names of files are left out."""
    steps = read(tmp_path / "x.log", f"step 1 | x: {text} | grad_norm: 2.5\n")

    assert steps[1] == {"grad_norm": 2.5}


def test_the_sentence_says_what_was_taken_for_what(tmp_path: Path) -> None:
    """It has the line, the step as it is written, and the norm; it comes once."""
    path = tmp_path / "x.log"
    notes: list[str] = []
    for text in (f"hello\n{MEGATRON * 2}", OLMO_CORE, SWIFT.replace("global_step/m", "m")):
        read(path, text, on_note=notes.append)

    assert notes == [
        "is read as a console: in line 2, 'iteration 10/100' is the step and "
        "grad norm the norm",
        "is read as a console: in line 3, 'step 10' is the step and "
        "optim/total grad norm the norm",
        "is read as a console: in line 1, entries have no step, so they count as steps "
        "1, 2 ... (logging_steps); the norm is grad_norm",
    ]


def test_a_user_may_name_the_step(tmp_path: Path) -> None:
    """Another word for the step counts; without it, one sentence says so."""
    path = tmp_path / "x.log"
    text = "step 1 | Tokens: 4,096 | grad_norm: 2.5\n"

    assert [*read(path, text, step="tokens")] == [4096]
    assert console.is_console(text.encode(), "tokens")
    assert not console.is_console(text.encode(), "batch")
    damages: list[str] = []
    assert [*console.read(path, damages.append, step="batch")] == [None]
    assert damages == [
        "no line has a whole number after 'batch' (--step) and the norm of a gradient"
    ]


def test_lines_come_as_they_are_written(tmp_path: Path) -> None:
    """Half a line waits for its end; a block comes at the end of what is there."""
    path = tmp_path / "x.log"
    path.write_text("step 1 gnorm 1\nstep 2 gno")
    wait = grow(path, [b"rm 2", b"5\nstep 3 gnorm 3\n"])
    pieces = [*console.read(path, pytest.fail, wait)]
    assert [None if p is None else p.values.tolist() for p in pieces] == [
        *([1], None, None, [25, 3], None),
    ]

    path.write_text("[step=1/9]\n    gnorm=1\n")
    wait = grow(path, [b"    loss=2\n[step=2/9]\n", b"    gnorm=2\n"])
    pieces = [*console.read(path, pytest.fail, wait)]
    assert [None if p is None else (p.names, p.steps.tolist()) for p in pieces] == [
        (["gnorm"], [1]),
        None,
        (["loss"], [1]),
        None,
        (["gnorm"], [2]),
        None,
    ]


def test_the_last_number_of_a_torn_line_is_left_out(tmp_path: Path) -> None:
    """Its digits may lack; a line that ends with something else is whole."""
    path = tmp_path / "x.log"
    for text, norms, words in [
        (
            "step 1 gnorm 1\nstep 2 loss 1 gnorm 2",
            [1],
            ["line 2 is torn, its gnorm is left out"],
        ),
        ("step 1 gnorm 1 |\nstep 2 gnorm 2 |", [1, 2], []),
        ("step 1 gnorm 1\n", [1], []),
    ]:
        path.write_text(text)
        damages: list[str] = []
        steps = to_steps(console.read(path, damages.append))
        assert [v["gnorm"] for v in steps.values() if "gnorm" in v] == norms
        assert damages == words


def test_text_from_windows_is_read(tmp_path: Path) -> None:
    """PowerShell redirects a console as UTF-16."""
    path = tmp_path / "x.log"
    path.write_bytes(MEGATRON.replace("\n", "\r\n").encode("utf-16"))

    assert [*to_steps(console.read(path, pytest.fail))] == [10]


@pytest.mark.parametrize(
    "text",
    [
        "# A README\n\nThe grad norm at step 1000 was large, about 2.5.\n\n- step 1: go\n",
        '    print(f"step {step:5d} | loss: {loss:.6f} | norm: {norm:.4f}")\n',
        "TrainingArguments(max_grad_norm=1.0, steps=10, logging_steps=10)\n",
        "step: 10\nmax_grad_norm: 1.0\nlr: 0.1\n",
        'Traceback (most recent call last):\n  File "train.py", line 10, in step\n'
        "    clip_grad_norm_(model, 1.0)\nValueError: step 10 failed\n",
        'version = 1\n\n[[package]]\nname = "gradnorm"\nversion = "1.2.0"\n',
        '{"gradsound-run": 1, "layers": ["grad_norm"], "step": 1, "grad_norm": 1}\n',
        "step 1 loss 0.5\nstep 2 loss 0.25\n",
        "def norm(step=1, grad_norm=None):\n    return 1\n",
        "\0step 1 gnorm 2\n",
        '{"step": [1, 2], "grad_norm": [0.5, 0.25]}\n',
        "",
    ],
)
def test_a_text_that_is_no_log_is_none(text: str) -> None:
    """A console has a line with a step and a norm, or a printed entry with a norm."""
    assert not console.is_console(text.encode())


@pytest.mark.parametrize(
    ("line", "step", "values"),
    [
        ("step 1 loss nan grad_norm inf", 1, {"loss": nan, "grad_norm": inf}),
        ("[step 1] [loss 0.5] [grad_norm 2.5]", 1, {"loss": 0.5, "grad_norm": 2.5}),
        ("step:1 smpl:8 loss:0.5 grdn:2.5", 1, {"smpl": 8, "loss": 0.5, "grad_norm": 2.5}),
        (
            "Train epoch [1/2]:  3%|3  | 3/100 [00:03<01:37, 1.0s/it, grad_norm=2.5]",
            3,
            {"grad_norm": 2.5, "epoch": 1},
        ),
    ],
    ids=["values that are no numbers", "brackets", "LeRobot", "OpenRLHF"],
)
def test_words_and_brackets_between_values(
    tmp_path: Path, line: str, step: int, values: dict[str, float]
) -> None:
    """A value ends a name, and a bracket with a value is no prefix."""
    steps = read(tmp_path / "x.log", f"{line}\n")

    assert [*steps] == [step]
    assert steps[step] == pytest.approx(values, nan_ok=True)


def test_a_step_that_no_line_has_is_named(tmp_path: Path) -> None:
    """The message has the word that the user gave."""
    path = tmp_path / "train.log"
    path.write_text("step 1 grad_norm 0.5\nstep 2 grad_norm 0.25\n")

    with pytest.raises(RunFormatError, match="no line has the step 'foo' and the norm of"):
        read_run(path, step="foo")
