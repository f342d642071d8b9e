"""Fuzzing of damaged texts: JSON lines and consoles read in part, in bounded time.

The suite makes 300 mutations of each. GRADSOUND_FUZZ=10000 makes more.
"""

import os
import random
import resource
import time
from pathlib import Path

import numpy as np
import pytest
from helpers.mutations import damage
from helpers.text_logs import grow, to_steps

from gradsound.errors import RunFormatError
from gradsound.logs.encoding import to_utf_8
from gradsound.logs.texts import console, json_log, printed_tables

MUTATIONS = int(os.environ.get("GRADSOUND_FUZZ", "300"))
SECONDS_MAX = 5.0  # seconds of this process; the longest line or nest takes under two
MEMORY_MAX = 300_000  # KiB by which all mutations together may raise peak memory

HEAD = 1 << 16  # bytes by which a file is recognized

STEPS = range(1, 30)
TEXTS = {
    "nested": (
        json_log,
        "".join(
            f'{{"step": {k}, "data": {{"loss": {k / 7}, "grad_norm": {1 / k}}}}}\n'
            for k in STEPS
        ),
    ),
    "torchtitan": (
        console,
        "".join(
            f"[rank{k % 3}]:[titan] 2026-01-02 10:00:{k:02},125 - root - INFO - \x1b[31m"
            f"step: {k:2}  \x1b[32mloss: {k / 7:.5f}  grad_norm: {1 / k:.4f}  tps: 1,234\n"
            for k in STEPS
        ),
    ),
    "trainer": (
        console,
        "".join(f"{{'loss': '{k / 7}', 'grad_norm': '{1 / k:.4g}'}}\n" for k in STEPS),
    ),
    "blocks": (
        console,
        "".join(
            f"[step={k}/100,epoch=1]\n    CE loss={k / 7}\n    total grad norm={1 / k}\n"
            for k in STEPS
        ),
    ),
    "bars": (
        console,
        "".join(
            f"\rEpoch {k % 4}:  1%|█    | {k}/100 [00:10<01:30, 1.0it/s, grad_norm={1 / k}]"
            for k in STEPS
        ),
    ),
    "named": (
        json_log,
        "".join(f'{{"name": "grad_norm", "value": {1 / k}, "step": {k}}}\n' for k in STEPS),
    ),
    "bars of a table": (
        printed_tables,
        "\n| step | loss | grad_norm |\n|---|---|---|\n"
        + "".join(f"| {k} | {k / 7} | {1 / k} |\n" for k in STEPS),
    ),
    "spaces": (
        printed_tables,
        "step  loss  grad_norm\n" + "".join(f"{k}  {k / 7}  {1 / k}\n" for k in STEPS),
    ),
    "boxes": (
        printed_tables,
        "".join(
            f"| time/ | |\n|    total_timesteps | {k} |\n| grad_norm | {1 / k} |\n------\n"
            for k in STEPS
        ),
    ),
    "windows": (
        console,
        "".join(
            f"iteration {k}/ 100 | loss: {k / 7} | grad norm: {1 / k} |\r\n" for k in STEPS
        ),
    ),
}


@pytest.mark.parametrize("kind", TEXTS)
def test_no_damage_does_harm(tmp_path: Path, kind: str) -> None:
    """A damaged text gives numbers, or one sentence, in bounded memory and time."""
    reader, text = TEXTS[kind]
    content = text.encode("utf-16" if kind == "windows" else "utf-8")
    path = tmp_path / "x.log"
    path.write_bytes(content)
    whole = to_steps(reader.read(path, pytest.fail))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    different = 0
    for number in range(MUTATIONS):
        damaged = damage(f"{kind} {number}", content)
        cut = random.Random(number).randrange(len(damaged) + 1)  # noqa: S311 (reproducible)
        path.write_bytes(damaged[:cut])
        damages: list[str] = []
        begin = time.process_time()
        try:
            is_log = reader is console and console.is_console(to_utf_8(damaged[:HEAD]))
            wait = grow(path, [damaged[cut:]])
            pieces = [*reader.read(path, damages.append, wait)]
        except RunFormatError as error:
            pieces = []
            damages = [str(error)]
        except BaseException:
            (tmp_path / "failed").write_bytes(damaged)  # for a look at it
            raise
        took = time.process_time() - begin
        assert took < SECONDS_MAX, f"mutation {number} took {took:.1f} s"
        assert all(len(line) < 1000 and line.isprintable() for line in damages), damages
        for piece in pieces:
            if piece is not None:
                sizes = {len(piece.places), len(piece.steps), len(piece.values)}
                assert sizes == {len(piece.times)}
                known = piece.steps[~np.isnan(piece.steps)]
                assert ((known >= 0) & (known < 2.0**60)).all()
                assert not np.isinf(piece.times).any()
        steps = to_steps(pieces)
        assert steps or damages or not is_log or len(damaged) > HEAD
        different += bool(damages) or repr(steps) != repr(whole)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < MEMORY_MAX, f"{grown} KiB more"
    # Otherwise the mutations miss the parts that are read.
    assert different > MUTATIONS // 10
