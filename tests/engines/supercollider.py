"""Plays a run by Open Sound Control on SuperCollider, and prints how well it was heard.

    apt install supercollider-server supercollider-language jackd2
    python tests/engines/supercollider.py  # a minute

sclang evaluates the example of docs/instruments.md, and scsynth plays it on a sound server
without a device. The script records that sound and finds each note in it by FFT.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from itertools import islice
from pathlib import Path

import numpy as np
import soundfile

import gradsound
from gradsound.music.presets import find_preset
from gradsound.rendering.sound import Sound

CHECKOUT = Path(__file__).parents[2]
RUN = CHECKOUT / "samples" / "runs" / "2-sgd-lr0.1-batch10.jsonl"
RATE, PORT, STEPS = 44_100, 57120, 60
_BINS = 1 << 17
_EDGE_SECONDS = 0.005  # the fades of the example
_SILENT = 1e-4
_LEAST_POWER = 1e-30  # where the sound server lost the sound
_FRAME = r"""
s.options.numInputBusChannels = 0;
s.waitForBoot({
EXAMPLE
s.sync;
s.recHeaderFormat = "wav"; s.recSampleFormat = "float";
s.prepareForRecord("WAV", 2); s.sync; s.record; s.sync; 0.5.wait;
~early = List.new; ~addresses = IdentitySet.new;
OSCdef(\count, { |msg, time| ~early.add(time - SystemClock.seconds) }, '/gradsound/note');
thisProcess.addOSCRecvFunc({ |msg| ~addresses.add(msg[0]) });
OSCdef(\end, { fork {
    1.5.wait; s.stopRecording; 0.5.wait;
    ("NOTES" + ~early.size + ~early.minItem + ~early.maxItem).postln;
    ("ADDRESSES" + ~addresses.asArray.sort.join(" ")).postln;
    s.quit; 0.5.wait; 0.exit;
} }, '/gradsound/end');
("READY" + NetAddr.langPort).postln;
});
"""


def main() -> None:
    """Plays and prints."""
    programs = {name: shutil.which(name) for name in ("jackd", "sclang", "scsynth")}
    if missing := [name for name, path in programs.items() if path is None]:
        sys.exit(f"there is no {missing[0]}: see the first lines of {__file__}")
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder, "run.jsonl")
        with RUN.open() as lines:
            run.write_text("".join(islice(lines, STEPS + 1)))
        output, samples = play(run, Path(folder), programs)
        report(run, output, samples)


def play(run: Path, folder: Path, programs: dict[str, str]) -> tuple[str, np.ndarray]:
    """Returns what sclang printed, and what scsynth played, shape (N, 2)."""
    page = (CHECKOUT / "docs" / "instruments.md").read_text()
    (example,) = re.findall(r"```supercollider\n(.*?)```", page, re.DOTALL)
    wav, script, log = (folder / name for name in ("x.wav", "x.scd", "log.txt"))
    script.write_text(_FRAME.replace("EXAMPLE", example).replace("WAV", str(wav)))
    # A server of its own, without a screen: other sounds of this machine go on.
    environment = {
        **os.environ,
        "JACK_DEFAULT_SERVER": f"gradsound{os.getpid()}",
        "JACK_NO_AUDIO_RESERVATION": "1",
        "QT_QPA_PLATFORM": "offscreen",
        "QTWEBENGINE_DISABLE_SANDBOX": "1",
        "XDG_RUNTIME_DIR": str(folder),
        "HOME": str(folder),
    }
    with ExitStack() as stack:
        out = stack.enter_context(log.open("w"))
        server = [
            programs["jackd"],
            "--no-realtime",
            "-d",
            "dummy",
            "-r",
            str(RATE),
        ]
        for command in (server, [programs["sclang"], str(script)]):
            process = subprocess.Popen(
                command,
                env=environment,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            stack.callback(process.wait)
            stack.callback(end, process)
            time.sleep(1)
        deadline = time.monotonic() + 60
        while f"READY {PORT}" not in log.read_text():
            if time.monotonic() > deadline:
                sys.exit(f"SuperCollider is not ready: {log.read_text()[-500:]}")
            time.sleep(0.2)
        words = "play", str(run), "--osc", f"127.0.0.1:{PORT}"
        command = [sys.executable, "-m", "gradsound", *words]
        subprocess.run(command, check=True, capture_output=True)
        process.wait(30)
        return log.read_text(), soundfile.read(wav)[0]


def end(process: subprocess.Popen) -> None:
    """Ends a process, and what it started: sclang starts scsynth."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)


def report(run: Path, output: str, samples: np.ndarray) -> None:
    """Prints how many notes came, how early, and how far they are from the score."""
    version = re.search(r"SuperCollider [\d.]+\d", output)[0]
    count, least, most = re.search(r"NOTES (\S+) (\S+) (\S+)", output).groups()
    addresses = re.search(r"ADDRESSES (.*)", output)[1].split()
    steps, heard = score(run), find_steps(samples)
    print(f"{version}, {STEPS} steps of {RUN.name}")
    print(f"notes: {sum(len(notes) for _, notes in steps)} in the score, {count} received")
    print(f"received before they were due: {float(least):.2f} to {float(most):.2f} s")
    print(f"addresses: {' '.join(one for one in addresses if '/gradsound/' in one)}")
    if len(heard) != len(steps):
        sys.exit(f"{len(heard)} steps are in the sound: try again on a machine with time")
    cents = [
        cents_off(samples[round((frame + onset) * RATE) :].sum(axis=1), seconds, hertz)
        for frame, (_, notes) in zip(heard, steps)
        for onset, seconds, hertz in notes
    ]
    off = 1000 * np.diff(heard) - 1000 * np.diff([begin for begin, _ in steps])
    for name, unit, values in (("pitch", "cents", cents), ("rhythm", "ms", off)):
        half, most = np.percentile(np.abs(values), (50, 95))
        print(f"{name}: half within {half:.1f} {unit}, 95 % within {most:.1f} {unit}")


def find_steps(samples: np.ndarray) -> np.ndarray:
    """Returns the seconds at which sound begins after silence."""
    sounding = np.flatnonzero(np.abs(samples).max(axis=1) > _SILENT)
    gaps = np.diff(sounding, prepend=-RATE) > 0.1 * RATE
    return sounding[gaps] / RATE


def score(run: Path) -> list[tuple[float, list[tuple[float, float, float]]]]:
    """Returns the begin of each step, with onset, duration and pitch of its notes."""
    steps, begin = [], 0.0
    for part in Sound([gradsound.read_run(run)], find_preset("notes")).scores():
        for k, seconds in enumerate(part.durations):
            its = part.notes[(part.notes["step"] == k) & (part.notes["track"] >= 0)]
            notes = [
                (float(note["onset"]), float(note["duration"]), float(note["hertz"][0]))
                for note in its
            ]
            steps.append((begin, notes))
            begin += seconds
    return [(begin, notes) for begin, notes in steps if notes]


def cents_off(samples: np.ndarray, seconds: float, hertz: float) -> float:
    """Returns how many cents the first note of some samples is above a pitch."""
    edge = round(_EDGE_SECONDS * RATE)
    samples = samples[edge : round(seconds * RATE) - edge]
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), _BINS))
    near = np.abs(np.fft.rfftfreq(_BINS, 1 / RATE) / hertz - 1) < 0.1
    k = np.flatnonzero(near)[power[near].argmax()]
    before, peak, after = np.log(power[k - 1 : k + 2] + _LEAST_POWER)
    shift = (before - after) / 2 / (before - 2 * peak + after)
    return float(1200 * np.log2((k + shift) * RATE / _BINS / hertz))


if __name__ == "__main__":
    main()
