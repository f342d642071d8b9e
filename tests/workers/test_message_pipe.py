"""The pipe of messages between a worker and the trainer."""

import asyncio
import os

from gradsound.workers.message_pipe import MessagePipe, read_batches


def test_messages_arrive_in_order_and_those_of_one_moment_together() -> None:
    """Texts and bytes are what was sent, and each batch has the next number."""
    reading, writing = os.pipe()

    async def send() -> None:
        pipe = MessagePipe(writing)
        pipe.send("é\n")
        pipe.send(b"\n\0")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        pipe.send_batch([b"past"], history=["a"])
        pipe.send("last")
        await pipe.drain(5)
        os.close(writing)

    asyncio.run(send())
    with os.fdopen(reading, "rb") as file:
        batches = [*read_batches(file)]
    assert batches == [
        ({"number": 1, "messages": ["é\n", None]}, [b"\n\0"]),
        ({"history": ["a"], "messages": [None]}, [b"past"]),
        ({"number": 2, "messages": ["last"]}, []),
    ]


def test_a_reader_that_sleeps_delays_nothing_and_knows_what_it_missed() -> None:
    """What the pipe does not take is dropped in whole batches; the numbers have a gap."""
    reading, writing = os.pipe()
    count, size = 100, 100_000
    received: list[tuple[int, bytes]] = []

    def read_all() -> None:
        with os.fdopen(reading, "rb") as file:
            received.extend((facts["number"], one) for facts, (one,) in read_batches(file))

    async def send() -> None:
        pipe = MessagePipe(writing)
        for k in range(count):
            pipe.send(bytes([k]) * size)
            pipe.flush()
        reader = asyncio.create_task(asyncio.to_thread(read_all))
        await pipe.drain(30)
        pipe.send(b"again")
        await pipe.drain(30)
        os.close(writing)
        await reader

    asyncio.run(send())
    *before, last = received
    assert last == (count + 1, b"again")
    assert 15 < len(before) < 30
    assert before == [(k + 1, bytes([k]) * size) for k in range(len(before))]


def test_a_reader_that_dies_is_no_error() -> None:
    """The worker goes on: the other pipe ends it."""
    reading, writing = os.pipe()
    os.close(reading)

    async def send() -> None:
        pipe = MessagePipe(writing)
        for _ in range(3):
            pipe.send("text")
            pipe.flush()
        await pipe.drain(5)

    asyncio.run(send())
    os.close(writing)
