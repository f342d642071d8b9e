"""Measures what recording costs on a GPU, and checks that the host never waits for it.

It trains a model of the size of GPT-2 small (12 layers of width 768) in bfloat16 with
gradient clipping. ``torch.cuda.set_sync_debug_mode("error")`` makes any wait an exception.
Blocks of bare and recorded steps take turns; the control is a second bare block. At the
end the host computes all norms again and compares them. (A file named cuda.py would hide a
package that torch imports.)

    python benchmarks/gpu.py
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from models import Decoder
from torch import nn

import gradsound

ROUNDS, BLOCK = 30, 20  # blocks of each case, steps of a block
CASES = ("bare", "bare again (control)", "gradsound")


def main() -> None:
    """Prints the table."""
    if not torch.cuda.is_available():
        raise SystemExit("this machine has no CUDA device, so nothing was measured")
    torch.manual_seed(0)
    model = Decoder(depth=12, width=768, heads=12, vocabulary=50_257, context=1024).cuda()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
    tokens = torch.randint(50_257, (4, 1025), device="cuda")
    loss_function = nn.CrossEntropyLoss()

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cuda", torch.bfloat16):
            loss = loss_function(model(tokens[:, :-1]), tokens[:, 1:].flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    for _ in range(5):
        step()
    seconds: dict[str, list[float]] = {case: [] for case in CASES}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(ROUNDS):
            for case in CASES:
                attachment = None
                if case == "gradsound":
                    log = Path(folder) / f"{number}.jsonl"
                    attachment = gradsound.attach(model, optimizer, log=log)
                    step()  # the first step makes the plans, which allocates memory
                torch.cuda.synchronize()
                torch.cuda.set_sync_debug_mode("error")
                begin = time.perf_counter()
                for _ in range(BLOCK):
                    step()
                torch.cuda.set_sync_debug_mode("default")
                torch.cuda.synchronize()
                seconds[case].append((time.perf_counter() - begin) / BLOCK)
                if attachment is not None:
                    attachment.close()
        run = gradsound.read_run(log)
        steps = [*run.steps]
    if len(steps) != BLOCK + 1:  # a wait ends the recording, with a warning
        raise SystemExit(f"gradsound recorded {len(steps)} of {BLOCK + 1} steps")
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, {ROUNDS} rounds")
    bare = seconds["bare"]
    print(f"{statistics.median(bare) * 1e3:.2f} ms a step")
    for case in CASES[1:]:
        ratio = statistics.median(one / two for one, two in zip(seconds[case], bare))
        added = statistics.median(one - two for one, two in zip(seconds[case], bare))
        print(f"  {case:24} {ratio:7.4f} x {added * 1e6:+8.0f} us")
    layers = dict(model.named_modules())
    expected = [
        np.sqrt(
            sum(
                float(p.grad.double().square().sum())
                for p in layers[name].parameters(recurse=False)
            )
        )
        for name in run.header.layers
    ]
    error = np.max(np.abs(steps[-1].norms / expected - 1))
    print(f"  largest relative error of a norm  {error:.1e}")


if __name__ == "__main__":
    main()
