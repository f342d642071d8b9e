"""A PulseAudio server for tests: it needs no hardware and records its output.

It has a null sink, and a recording has the same bits as the output. Clients find the server
by environment variables, so the machine's own sound server stays untouched.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

RATE = 44_100  # Hz
_START_SECONDS = 10.0  # longest time for the server to start


def missing_program() -> str | None:
    """Returns a program or library that is not installed; None if all are."""
    for program in ("pulseaudio", "pactl", "parec"):
        if shutil.which(program) is None:
            return program
    try:
        import pyaudio  # noqa: F401
    except ImportError as error:
        return str(error)
    return None


class SoundServer:
    """A sound server, which the constructor starts.

    Attributes:
        environment: Environment variables by which clients find the server.
    """

    def __init__(self) -> None:
        # pytest's folder is too long: the path of a socket has at most 107 characters.
        self._folder = Path(tempfile.mkdtemp(prefix="gs-"))
        self._socket = self._folder / "native"
        self.environment = {
            "PULSE_SERVER": f"unix:{self._socket}",
            "HOME": str(self._folder),  # ALSA and PulseAudio read settings there
            "ALSA_CONFIG_PATH": str(self._folder / "asound.conf"),
        }
        # ALSA would otherwise search the machine for other devices.
        (self._folder / "asound.conf").write_text(
            "</usr/share/alsa/alsa.conf>\npcm.!default { type pulse }\n"
            "ctl.!default { type pulse }\n"
        )
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Starts the server, at first or again after `stop`."""
        module = f"module-native-protocol-unix socket={self._socket} auth-anonymous=1"
        sink = f"module-null-sink sink_name=gs format=float32le rate={RATE} channels=2"
        options = (
            "-n --daemonize=no --use-pid-file=no --exit-idle-time=-1 --disable-shm=yes"
        )
        command = ["pulseaudio", *options.split(), "--realtime=no", "--high-priority=no"]
        # Without norewinds, PulseAudio may play samples twice.
        command += ["-L", module, "-L", f"{sink} norewinds=1"]
        names = ("HOME", "PULSE_RUNTIME_PATH", "PULSE_STATE_PATH", "PULSE_CONFIG_PATH")
        environment = dict.fromkeys(names, str(self._folder))
        environment["DBUS_SESSION_BUS_ADDRESS"] = environment["DBUS_SYSTEM_BUS_ADDRESS"] = (
            "unix:path=/none"
        )
        self._process = subprocess.Popen(
            command,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        begin = time.monotonic()
        while self.run("pactl", "info").returncode:
            if (
                time.monotonic() - begin > _START_SECONDS
                or self._process.poll() is not None
            ):
                raise RuntimeError("the sound server does not start")
            time.sleep(0.02)

    def stop(self) -> None:
        """Kills the server, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        self._socket.unlink(missing_ok=True)

    def freeze(self) -> None:
        """Suspends the server, so that it answers no client."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Resumes the server after `freeze`."""
        self._process.send_signal(signal.SIGCONT)

    def remove(self) -> None:
        """Stops the server and removes its folder."""
        self.stop()
        shutil.rmtree(self._folder)

    def run(self, *command: str) -> subprocess.CompletedProcess[bytes]:
        """Runs a client of the server."""
        environment = os.environ | self.environment
        return subprocess.run(command, env=environment, capture_output=True, check=False)

    def playing(self) -> int:
        """Returns how many streams play."""
        streams = self.run("pactl", "list", "short", "sink-inputs").stdout
        return len(streams.splitlines())

    @contextmanager
    def recording(self) -> Iterator[Recording]:
        """Records the server's output during the ``with`` block."""
        with tempfile.TemporaryFile() as file:
            recorder = subprocess.Popen(
                [
                    *("parec", "--device=gs.monitor", "--raw", "--latency-msec=10"),
                    *("--format=float32le", f"--rate={RATE}", "--channels=2"),
                ],
                env=os.environ | self.environment,
                stdout=file,
                stderr=subprocess.DEVNULL,
            )
            recording = Recording(file)
            try:
                while not recording.samples().size:
                    time.sleep(0.01)
                yield recording
                time.sleep(0.2)  # for samples still in a buffer
            finally:
                recorder.kill()
                recorder.wait()
                recording.end()


class Recording:
    """The samples recorded so far, or all of them after the end."""

    def __init__(self, file) -> None:
        self._file, self._final = file, None

    def end(self) -> None:
        """Keeps the samples after the file closes."""
        self._final = self.both()

    def both(self) -> np.ndarray:
        """Returns the left and the right channel, shape (frames, 2)."""
        if self._final is not None:
            return self._final
        data = os.pread(self._file.fileno(), os.fstat(self._file.fileno()).st_size, 0)
        return np.frombuffer(data[: len(data) // 8 * 8], np.float32).reshape(-1, 2)

    def samples(self) -> np.ndarray:
        """Returns the left channel, shape (frames,)."""
        return self.both()[:, 0]

    def trimmed(self) -> np.ndarray:
        """Returns the left channel without the silence around the sound."""
        samples = self.samples()
        loud = np.flatnonzero(samples)
        return samples[loud[0] : loud[-1] + 1] if loud.size else samples[:0]
