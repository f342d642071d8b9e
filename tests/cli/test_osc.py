"""gradsound play --osc: another program plays the run."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from helpers.osc import Receiver
from helpers.processes import started, until
from helpers.runs import make_run

from gradsound.cli.main import main
from gradsound.errors import MissingExtraError
from gradsound.runs.step_block import make_block
from gradsound.runs.writer import RunWriter

GRADSOUND = (sys.executable, "-m", "gradsound")


def play(*arguments: object) -> int | str | None:
    """Runs the command and returns its exit status."""
    with pytest.raises(SystemExit) as exit_info:
        main(["play", *map(str, arguments)])
    return exit_info.value.code


def test_a_finished_run_is_sent(save, capsys: pytest.CaptureFixture[str]) -> None:
    """Each norm is a message; captions are printed too; no sound device is needed."""
    path = save([[1.0, 2.0], [float("nan"), 3.0], [0.0, 1.0]])
    options = "--preset", "perone2019", "--volume", 0.5
    with Receiver() as receiver:
        assert play(path, "--osc", f"127.0.0.1:{receiver.port}", *options) == 0
    sent = [one.address for one in receiver.messages()]

    assert [sent.count(name) for name in ("note", "nan", "breath", "end")] == [4, 1, 1, 1]
    notes = [one.values for one in receiver.messages() if one.address == "note"]
    np.testing.assert_allclose([one[4] for one in notes], [300, 400, 500, 300])
    assert {one[6] for one in notes} == {notes[0][7]}
    assert 0 < notes[0][6] < 0.1
    assert "step 1: NaN in layer0" in capsys.readouterr().err


def test_new_steps_of_a_training_are_sent(tmp_path: Path) -> None:
    """With --follow, a step is sent when the training adds it, until SIGTERM."""
    run = make_run([[float(k)] for k in range(1, 300)])
    steps = iter(run.steps)
    writer = RunWriter(tmp_path / "run.jsonl", run.header)
    writer.write(make_block([next(steps)]))

    def has_note() -> bool:
        writer.write(make_block([next(steps)]))
        time.sleep(0.05)
        return any(one.address == "note" for one in receiver.messages())

    with Receiver() as receiver:
        command = "play", "run.jsonl", "--follow", "--osc", f"localhost:{receiver.port}"
        with started([*GRADSOUND, *command], cwd=tmp_path) as process:
            until(lambda: receiver.datagrams, "no names came")
            until(has_note, "no note came")
            process.send_signal(signal.SIGTERM)
            assert process.wait() == 143
    writer.close()
    messages = receiver.messages()

    assert 0 not in [one.values[0] for one in messages if one.address == "note"]
    assert messages[-1].address == "end"


@pytest.mark.parametrize(
    "address",
    [
        "",
        "x",
        "host:",
        ":57120",
        "host:port",
        "1.2.3.4:0",
        "1.2.3.4:65536",
        "::1:9",
        "[]:9",
    ],
)
def test_what_is_no_address_is_refused(
    address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message has an example and what was given."""
    assert play("run.jsonl", "--osc", address) == 2
    message = f"must be HOST:PORT, such as 127.0.0.1:57120, got {address!r}"
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--osc no.invalid:9", "gradsound: no.invalid:9: there is no host of this name\n"),
        ("--osc [::1]:9 --device 3", "--device is for a sound device: leave out --osc\n"),
        ("--osc [::1]:9 --latency low", "--latency is for a sound device: leave out"),
        ("--osc [::1]:9 --volume 7", "volume must be 0 to 1, got 7.0\n"),
    ],
)
def test_a_mistake_is_one_sentence(
    save, options: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message names the value, and the status is 2."""
    assert play(save([[1.0]]), *options.split()) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_lost_receiver_ends_nothing(save) -> None:
    """Where nobody receives, one line says so, and the run plays to its end."""
    path = save([[1.0, 2.0]] * 20)
    with Receiver() as receiver:
        port = receiver.port  # which is closed from here on
    command = "play", str(path), "--osc", f"127.0.0.1:{port}", "--preset", "perone2019"
    process = subprocess.run(
        [*GRADSOUND, *command], capture_output=True, text=True, check=True
    )
    lost, end = process.stderr.splitlines()

    assert lost.startswith(f"gradsound: 127.0.0.1:{port}: no program receives there")
    assert end.endswith("end of the run: 20 steps in 6.3 s")


def test_a_missing_package_is_named(save, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without python-osc, the message has the command that installs it."""
    for name in ("output.osc_messages", "output.osc_receiver", "live.osc_playback"):
        monkeypatch.delitem(sys.modules, f"gradsound.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "pythonosc.osc_bundle_builder", None)
    with pytest.raises(MissingExtraError, match="pip install python-osc"):
        __import__("gradsound.live.osc_playback")
    assert play(save([[1.0]]), "--osc", "127.0.0.1:9") == 2
