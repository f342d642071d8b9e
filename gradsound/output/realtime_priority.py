"""Real-time priority for a process of this user, if the system grants it.

A thread with this priority runs as soon as it has work, also on a busy machine. Two ways
lead to it: the limit RLIMIT_RTPRIO of the process, or RealtimeKit, the service that
PulseAudio and PipeWire ask. Nothing needs it: without it, the process plays as well as a
busy machine lets it.

Both ways exist on Linux alone.
"""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

_PRIORITY = 4  # of 1 to 99; below that of the sound server, which is 5 or more
# Of the processor without a pause, in microseconds. Then the kernel ends the process, by
# SIGXCPU, at last by SIGKILL. So a loop without an end cannot freeze the machine.
# RealtimeKit refuses a process with more.
_PROCESSOR_LIMITS = (150_000, 200_000)
_RTKIT = "org.freedesktop.RealtimeKit1"
_RTKIT_SECONDS = 2.0  # in which it must answer


def request_realtime(process: int) -> bool:
    """Asks for real-time priority for all threads of a process; returns whether all got it.

    It takes up to two seconds a thread, if RealtimeKit does not answer.

    Args:
        process: Number of the process. It must not start processes of its own.
    """
    try:
        import resource

        resource.prlimit(process, resource.RLIMIT_RTTIME, _PROCESSOR_LIMITS)
        threads = [int(task.name) for task in Path(f"/proc/{process}/task").iterdir()]
    except (ImportError, AttributeError, OSError, ValueError):  # no Linux, or it has ended
        return False
    return all(_ask_kernel(one) or _ask_rtkit(process, one) for one in threads)


def exceeded_limit(status: int | None) -> bool:
    """Returns whether a process has ended because it used the processor without a pause."""
    return status is not None and status == -getattr(signal, "SIGXCPU", 0) < 0


def _ask_kernel(thread: int) -> bool:
    policy = os.SCHED_RR | os.SCHED_RESET_ON_FORK
    with suppress(OSError):
        os.sched_setscheduler(thread, policy, os.sched_param(_PRIORITY))
        return True
    return False


def _ask_rtkit(process: int, thread: int) -> bool:
    call = ["busctl", "--system", "--allow-interactive-authorization=no", "call", _RTKIT]
    call += [f"/{_RTKIT.replace('.', '/')}", _RTKIT, "MakeThreadRealtimeWithPID", "ttu"]
    call += [str(process), str(thread), str(_PRIORITY)]
    with suppress(OSError, subprocess.SubprocessError):
        subprocess.run(  # noqa: S603 (a program of systemd, with numbers)
            call, capture_output=True, check=True, timeout=_RTKIT_SECONDS
        )
        return True
    return False
