"""The spool of a pipe: all bytes come, and an error of the pipe is raised."""

import time
from collections.abc import Iterator

import pytest

from gradsound.live.pipe_spool import PipeSpool


def test_all_that_a_pipe_has_can_be_read_before_the_wait_ends() -> None:
    """The wait says to read once more after the end of the pipe."""
    pieces = iter([b"one ", b"two ", b"three"])

    def read(_: int) -> bytes:
        time.sleep(0.02)
        return next(pieces, b"")

    spool = PipeSpool(read)
    text, wait_for_more = b"", spool.make_wait()
    with spool.path.open("rb") as file:
        text += file.read()
        while wait_for_more():
            text += file.read()
    spool.close()

    assert text == b"one two three"
    assert not spool.path.exists()


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), None])
def test_an_error_of_the_pipe_is_raised(error: OSError | None) -> None:
    """A reader gets the error; a pipe that another thread has closed just ends."""

    def fail() -> Iterator[bytes]:
        yield b"one"
        raise error or ValueError("read of closed file")

    pieces = fail()
    spool = PipeSpool(lambda _: next(pieces))

    def wait() -> None:
        wait_for_more = spool.make_wait()
        while wait_for_more():
            pass

    if error is None:
        wait()
    else:
        with pytest.raises(OSError, match="Input/output error"):
            wait()
    assert spool.path.read_bytes() == b"one"
    spool.close()
