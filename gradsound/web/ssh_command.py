"""The ssh command by which another machine reaches the page."""

from __future__ import annotations

import getpass
import os
import socket


def ssh_command(forward: str) -> str:
    """Returns the command for a user's own machine.

    Args:
        forward: What ssh forwards: PORT:HOST:PORT.
    """
    return f"ssh -N -L {forward} {_ssh_destination()}"


def _ssh_destination() -> str:
    """Returns user, host and port for ssh; those of this session if ssh opened it."""
    # SSH_CONNECTION has the client's address and port, then those of this machine as the
    # client knows them.
    connection = os.environ.get("SSH_CONNECTION", "").split()
    host, port = socket.gethostname(), "22"
    if len(connection) == 4:
        host, port = connection[2:]
    try:
        user = f"{getpass.getuser()}@"
    except (OSError, KeyError, ImportError):  # a user number without a name, in containers
        user = ""
    return f"{user}{host}" if port == "22" else f"-p {port} {user}{host}"
