"""A sound server of the tests' own, without hardware: a PulseAudio with a null sink.

What is played there can be recorded, to the last bit. Clients find it by their environment
alone; nothing of the machine's own sound is touched.
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

RATE = 44_100
_UP = 10.0  # seconds that it may take to begin


def missing() -> str | None:
    """What is not installed, if anything."""
    for program in ("pulseaudio", "pactl", "parec"):
        if shutil.which(program) is None:
            return program
    try:
        import pyaudio  # noqa: F401
    except ImportError as error:
        return str(error)
    return None


class SoundServer:
    """A server, up until it is stopped.

    Attributes:
        environment: What clients need to find it.
    """

    def __init__(self) -> None:
        # Not in pytest's folder: the path of a socket has room for 107 characters.
        self._folder = Path(tempfile.mkdtemp(prefix="gs-"))
        self._socket = self._folder / "native"
        self.environment = {
            "PULSE_SERVER": f"unix:{self._socket}",
            "HOME": str(self._folder),  # ALSA and PulseAudio look for settings there
            "ALSA_CONFIG_PATH": str(self._folder / "asound.conf"),
        }
        # One device, the default, and no other that is looked for.
        (self._folder / "asound.conf").write_text(
            "</usr/share/alsa/alsa.conf>\npcm.!default { type pulse }\n"
            "ctl.!default { type pulse }\n"
        )
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Brings it up (again)."""
        module = f"module-native-protocol-unix socket={self._socket} auth-anonymous=1"
        sink = f"module-null-sink sink_name=gs format=float32le rate={RATE} channels=2"
        options = (
            "-n --daemonize=no --use-pid-file=no --exit-idle-time=-1 --disable-shm=yes"
        )
        command = ["pulseaudio", *options.split(), "--realtime=no", "--high-priority=no"]
        # Without norewinds, what was played already may be heard again.
        command += ["-L", module, "-L", f"{sink} norewinds=1"]
        names = ("HOME", "PULSE_RUNTIME_PATH", "PULSE_STATE_PATH", "PULSE_CONFIG_PATH")
        own = dict.fromkeys(names, str(self._folder))
        own["DBUS_SESSION_BUS_ADDRESS"] = own["DBUS_SYSTEM_BUS_ADDRESS"] = "unix:path=/none"
        self._process = subprocess.Popen(
            command,
            env=os.environ | own,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        begin = time.monotonic()
        while self.run("pactl", "info").returncode:
            if time.monotonic() - begin > _UP or self._process.poll() is not None:
                raise RuntimeError("the sound server does not come up")
            time.sleep(0.02)

    def stop(self) -> None:
        """Takes it down, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        self._socket.unlink(missing_ok=True)

    def freeze(self) -> None:
        """Has it answer nobody any more."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Has it go on."""
        self._process.send_signal(signal.SIGCONT)

    def remove(self) -> None:
        """Stops it for good."""
        self.stop()
        shutil.rmtree(self._folder)

    def run(self, *command: str) -> subprocess.CompletedProcess[bytes]:
        """Runs a client of it."""
        environment = os.environ | self.environment
        return subprocess.run(command, env=environment, capture_output=True, check=False)

    def playing(self) -> int:
        """How many streams play."""
        listed = self.run("pactl", "list", "short", "sink-inputs").stdout
        return len(listed.splitlines())

    @contextmanager
    def recording(self) -> Iterator[Recording]:
        """Records what is played meanwhile."""
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
                time.sleep(0.2)  # for what is on its way
            finally:
                recorder.kill()
                recorder.wait()
                recording.end()


class Recording:
    """What was heard so far, or in all once it has ended."""

    def __init__(self, file) -> None:
        self._file, self._all = file, None

    def end(self) -> None:
        """Keeps what there is."""
        self._all = self.both()

    def both(self) -> np.ndarray:
        """The left and the right channel, shape (frames, 2)."""
        if self._all is not None:
            return self._all
        data = os.pread(self._file.fileno(), os.fstat(self._file.fileno()).st_size, 0)
        return np.frombuffer(data[: len(data) // 8 * 8], np.float32).reshape(-1, 2)

    def samples(self) -> np.ndarray:
        """The left channel, shape (frames,)."""
        return self.both()[:, 0]

    def heard(self) -> np.ndarray:
        """The same without the silence around it."""
        samples = self.samples()
        loud = np.flatnonzero(samples)
        return samples[loud[0] : loud[-1] + 1] if loud.size else samples[:0]
