"""Programs that start another one with less than root may, as systems and containers do."""

from __future__ import annotations

import sys

# Like a container of Docker: root, without the capability to look into processes.
CONTAINER = ("setpriv", "--bounding-set", "-sys_ptrace", "--inh-caps", "-sys_ptrace")
# Yama, and a container's filter of calls, refuse what `sys.remote_exec` does so.
# Not every kernel has Yama, and its value 3 stays until the machine starts again, so that
# tests set no value of the machine: this filter refuses the call, and does nothing else.
_FILTER = """
import ctypes, errno, os, platform, struct, sys
number = {"x86_64": 310, "aarch64": 270}[platform.machine()]  # process_vm_readv
load, equal, leave = 0x20, 0x15, 0x06  # instructions of BPF
program = [(load, 0, 0, 0), (equal, 0, 1, number),
           (leave, 0, 0, 0x00050000 | errno.EPERM), (leave, 0, 0, 0x7FFF0000)]
text = b"".join(struct.pack("HBBI", *one) for one in program)
code = ctypes.create_string_buffer(text)
header = ctypes.create_string_buffer(
    struct.pack("@HP", len(program), ctypes.addressof(code)))
libc = ctypes.CDLL(None, use_errno=True)
for words in ((38, 1, 0, 0, 0), (22, 2, header)):  # no new privileges, the filter
    if libc.prctl(*words):
        raise OSError(ctypes.get_errno(), "prctl")
os.execvp(sys.argv[1], sys.argv[1:])
"""
FILTERED = (sys.executable, "-c", _FILTER)


def as_user(number: int) -> tuple[str, ...]:
    """Returns the words that start a program as a user, who needs no name."""
    return "setpriv", f"--reuid={number}", f"--regid={number}", "--clear-groups"


def with_mounts(*commands: str) -> tuple[str, ...]:
    """Returns the words that start a program with mounts of its own, made by commands."""
    text = "; ".join(["mount --make-rprivate /proc", *commands, 'exec "$@"'])
    return "unshare", "--mount", "--propagation", "unchanged", "sh", "-ec", text, "sh"


def within(pid: int) -> tuple[str, ...]:
    """Returns the words that start a program with the mounts of a process."""
    return "nsenter", f"--target={pid}", "--mount", "--root", f"--wd=/proc/{pid}/cwd"


def with_ptrace_scope(value: int) -> tuple[str, ...]:
    """Returns the words that start a program which reads a value of ptrace_scope."""
    folder = "/proc/sys/kernel"
    return with_mounts(
        f"boot=$(cat {folder}/random/boot_id)",  # a library of torch reads it
        f"mount -t tmpfs none {folder}",
        f"mkdir {folder}/yama {folder}/random",
        f"echo $boot >{folder}/random/boot_id",
        f"echo {value} >{folder}/yama/ptrace_scope",
    )
