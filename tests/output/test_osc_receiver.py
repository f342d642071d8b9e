"""A receiver of Open Sound Control: reached, not there, gone and back."""

from __future__ import annotations

import socket
import time
import warnings
from contextlib import suppress

import pytest
from helpers.osc import Receiver
from helpers.processes import until

from gradsound.errors import GradsoundWarning
from gradsound.output.osc_messages import message
from gradsound.output.osc_receiver import OscReceiver


def test_a_host_without_a_name_is_refused() -> None:
    """The message has the host and the port."""
    with pytest.raises(ValueError, match=r"^no-such-host\.invalid:57120: there is no host"):
        OscReceiver("no-such-host.invalid", 57120)
    with pytest.raises(ValueError, match="there is no host of this name"):
        OscReceiver("a" * 300, 57120)


def test_a_host_without_a_way_is_refused() -> None:
    """The reason of the system is in one sentence with the host and the port."""
    with pytest.raises(
        OSError, match=r"255\.255\.255\.255:9: cannot be reached: Permission"
    ):
        OscReceiver("255.255.255.255", 9)  # all machines, which a socket must ask for


def test_a_lost_receiver_is_one_warning() -> None:
    """Where no program receives, sending goes on; one that comes gets what is sent then."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
    receiver = OscReceiver("127.0.0.1", port)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", GradsoundWarning)
        for step in range(20):
            receiver.send([(time.time(), message("end", "i", step))])
    (warning,) = caught
    assert str(warning.message).startswith(f"127.0.0.1:{port}: no program receives there")

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as back:
        back.bind(("127.0.0.1", port))
        back.settimeout(10)
        receiver.send([(time.time(), message("end", "i", 21))])
        assert b"/gradsound/end" in back.recv(1 << 16)
    receiver.close()


def test_many_messages_arrive_in_order() -> None:
    """Datagrams of one call are sent by their times."""
    now = time.time()
    with Receiver() as receiver:
        sender = OscReceiver("localhost", receiver.port)
        sender.send([(now - k, message("end", "i", k)) for k in range(200)])
        until(lambda: len(receiver.datagrams) == 200, "not all datagrams came")
        sender.close()
    assert [one.values for one in receiver.messages()] == [(k,) for k in range(199, -1, -1)]


def test_a_receiver_has_time_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that reads in the pauses alone, with the usual buffer of Linux, loses nothing."""
    texts = [f"{number} {'x' * 380}" for number in range(1000)]
    received: list[bytes] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 106_496)  # it takes twice
        reader.bind(("127.0.0.1", 0))
        reader.setblocking(False)

        def read(_: float = 0) -> None:
            with suppress(BlockingIOError):
                while True:
                    received.append(reader.recv(1 << 16))

        sender = OscReceiver("127.0.0.1", reader.getsockname()[1])
        monkeypatch.setattr(time, "sleep", read)
        sender.send(
            (float(number), message("track", "is", number, text))
            for number, text in enumerate(texts)
        )
        read()
        sender.close()
    assert len(received) == len(texts)
    assert all(text.encode() in one for text, one in zip(texts, received))
