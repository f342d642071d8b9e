"""A PipeWire server of its own, without hardware, which plays on a null sink.

It needs pipewire, pipewire-pulse, wireplumber, dbus and pulseaudio-utils.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

_START_SECONDS = 10.0  # longest time for the server to start
_SINK_RATE = 48_000  # Hz; PipeWire's default
_PROGRAMS = "pipewire & sleep 0.5; wireplumber & sleep 0.5; exec pipewire-pulse"


class PipeWireServer:
    """A PipeWire server, which the constructor starts. Clients use its PulseAudio protocol.

    Attributes:
        environment: Environment variables by which clients find the server.

    Raises:
        RuntimeError: If it does not start.
    """

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="gs-"))  # 0700, as PipeWire requires
        self.environment = {
            "XDG_RUNTIME_DIR": str(self._folder),
            "PULSE_SERVER": f"unix:{self._folder / 'pulse' / 'native'}",
            "HOME": str(self._folder),
            "ALSA_CONFIG_PATH": str(self._folder / "asound.conf"),
        }
        (self._folder / "asound.conf").write_text(
            "</usr/share/alsa/alsa.conf>\npcm.!default { type pulse }\n"
            "ctl.!default { type pulse }\n"
        )
        self._process = subprocess.Popen(
            ["/usr/bin/env", "dbus-run-session", "--", "sh", "-c", _PROGRAMS],
            env=os.environ | self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        sink = f"module-null-sink sink_name=gs rate={_SINK_RATE} channels=2"
        begin = time.monotonic()
        while self._run("pactl", "load-module", *sink.split()):
            if time.monotonic() - begin > _START_SECONDS:
                self.remove()
                raise RuntimeError("PipeWire does not start; install what this file names")
            time.sleep(0.1)
        while self._run("pactl", "set-default-sink", "gs"):
            time.sleep(0.1)

    def remove(self) -> None:
        """Stops the server and removes its folder."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, *command: str) -> int:
        environment = os.environ | self.environment
        return subprocess.run(
            command, env=environment, capture_output=True, check=False
        ).returncode
