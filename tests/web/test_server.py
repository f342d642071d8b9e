"""The page's server: what it tells whom, and whom it refuses."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import websockets
from helpers.models import sgd, small, train
from helpers.pages import GRADSOUND, Page, get, served
from helpers.processes import MARK, processes, until, zombies
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

import gradsound
from gradsound.errors import GradsoundWarning, MissingExtraError
from gradsound.music.presets import PRESETS
from gradsound.rendering.sound import Sound
from gradsound.runs.writer import RunWriter
from gradsound.synth.events import EVENT
from gradsound.synth.limiter import limited
from gradsound.synth.mixer import _Voice
from gradsound.synth.voices.program import ROOM
from gradsound.web.host_and_port import PORT, Address

NAN, INF = float("nan"), float("inf")
RUN = [[1.0, 2.0, 0.5], [NAN, 3.0, 1.0], [0.1, INF, None], [5.0, 0.0, 1.0]]
RUNS = Path(__file__).parents[2] / "samples" / "runs"


@pytest.fixture(autouse=True)
def _alone(monkeypatch, tmp_path) -> None:
    """In a folder of its own, and nothing is left running."""
    monkeypatch.setenv(MARK, tmp_path.name + os.urandom(4).hex())
    monkeypatch.chdir(tmp_path)
    yield
    until(lambda: not processes(), "a process is left")
    assert not zombies()


def played(page: Page) -> None:
    """Has a page of a finished run hear all of it."""
    page.say(kind="play", **{"from": 0})
    page.until(lambda: "over" in page.kinds(), "it does not end")


def rendered(page: Page, preset: gradsound.Preset, layers: list[str]) -> np.ndarray:
    """What the notes of a page sound like, shape (frames, channels)."""
    run = gradsound.Run(
        gradsound.runs.model.Header(layers=tuple(layers), parameters=(), start=""), []
    )
    programs = [*dict.fromkeys(Sound([run], preset)._ensemble._composers[0].voices)]
    notes = np.concatenate([events.notes for events in page.events])
    frames = int((notes["first"] + notes["count"]).max())
    block = np.zeros((preset.channels, frames + ROOM), np.float32)
    for number, program in enumerate(programs):
        mine = notes[notes["voice"] == number]
        events = np.zeros(len(mine), EVENT)
        for name in EVENT.names:
            events[name] = mine[name]
        voice = _Voice(program, preset.channels)
        voice.add(events)
        voice.play(block, 0, 1 / page.hello["sample_rate"])
    return limited(block[:, :frames]).T


@pytest.mark.parametrize("preset", ["notes", "chord", "ambient", "perone2019"])
def test_what_is_sent_is_what_is_rendered(save, preset: str) -> None:
    """The notes of a page make the samples of `render`."""
    run = save(RUN)
    with served(run, "--preset", preset) as (url, _):
        page = Page(url)
        played(page)
    sound = Sound([gradsound.read_run(run)], PRESETS[preset])
    wanted = np.concatenate([*sound.blocks()])
    heard = rendered(page, PRESETS[preset], page.hello["layers"])
    longer = len(wanted) - len(heard)  # the silence at the end has no notes
    assert longer >= 0
    assert not wanted[len(heard) :].any()
    # Two voices that sound together may be added in another order.
    np.testing.assert_allclose(heard, wanted[: len(heard)], atol=2e-7)


def test_what_a_page_is_told_first(save) -> None:
    """What there is to hear, its picture and its alarms; then, when asked, its notes."""
    run = save(RUN, layers=("a.w", "b.w", "c.w"), comment="<b>free & text</b>")
    with served(run) as (url, _):
        page = Page(url)
        page.until(lambda: "marks" in page.kinds(), "there is no picture")
        hello = page.hello
        assert hello["kind"] == "hello"
        assert (hello["run"], hello["note"]) == ("run.jsonl", "<b>free & text</b>")
        assert hello["layers"] == ["a.w", "b.w", "c.w"]
        assert [line["layers"] for line in hello["lines"]] == [[0], [1], [2]]
        assert (hello["live"], hello["sample_rate"]) == (False, 44_100)
        norms = np.stack([column.norms for column in page.columns])
        wanted = np.array(
            [[-1.0 if n is None else n for n in row] for row in RUN], np.float32
        )
        np.testing.assert_array_equal(norms, wanted)
        assert [column.first for column in page.columns] == [0, 1, 2, 3]
        assert [column.last for column in page.columns] == [0, 1, 2, 3]
        times = [column.time for column in page.columns]
        np.testing.assert_allclose(times, [0, 1 / 3, 2 / 3, 1], atol=1e-6)  # as written
        marks = page.told[-1]["marks"]
        assert [(mark["step"], mark["type"]) for mark in marks] == [(1, "nonfinite")]
        assert not page.events
        played(page)
        assert [events.last for events in page.events[:4]] == [0, 1, 2, 3]
        told = [one for one in page.told if one["kind"] == "caption"]
        assert [one["type"] for one in told] == ["nonfinite", "end"]
        assert [(one["step"], one["warns"]) for one in told] == [(1, True), (3, False)]
        assert told[0]["frame"] >= page.events[1].begin


def test_a_finished_run_begins_where_asked(save) -> None:
    """And knows what was before: the same norms are as usual as they were."""
    run = save([[1.0], [1.1], [0.9], [7.0]])
    with served(run) as (url, _):
        whole, part = Page(url), Page(url)
        whole.say(kind="play", **{"from": 0})
        part.say(kind="play", **{"from": 3})
        for page in (whole, part):
            page.until(lambda page=page: "over" in page.kinds(), "it does not end")
    assert [events.first for events in part.events][:1] == [3]
    last, only = whole.events[3].notes, part.events[0].notes
    for name in ("count", "step", "gain", "controls"):
        np.testing.assert_array_equal(last[name], only[name])


def test_captions_have_the_clock_of_the_run(save) -> None:
    """Wherever it is played from, and however fast."""
    run = save([[1.0]] * 300 + [[NAN]] + [[1.0]] * 6)  # three steps a second
    with served(run, "--speed", 4) as (url, _):
        page = Page(url)
        page.say(kind="play", **{"from": 299})
        page.until(lambda: "over" in page.kinds(), "it does not end")
    clocks = {one["type"]: one["clock"] for one in page.told if one["kind"] == "caption"}
    assert clocks["nonfinite"] == "1:40"


def test_strangers_are_no_news(save) -> None:
    """Connections that say nothing, and more than the system has room for, log nothing."""
    limited = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)); "
    command = (
        f"{limited}from gradsound.cli.main import main; main(['serve', '{save(RUN)}'])"
    )
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", command], **pipes) as process:
        url = process.stdout.readline().decode().split()[-1]
        address = ("127.0.0.1", int(url.split(":")[2].split("/")[0]))
        page = Page(url)
        page.until(lambda: "marks" in page.kinds(), "there is no picture")
        idle = [socket.create_connection(address) for _ in range(100)]
        time.sleep(1.5)
        for one in idle:
            one.close()
        until(lambda: get(url)[0] == 200, "it does not come round")
        page.close()
        process.terminate()
        assert process.stderr.read() == b""


def test_a_pause_ends_what_plays(save) -> None:
    """And playing again begins anew."""
    run = save([[float(k + 1)] for k in range(200)])
    with served(run) as (url, _):
        page = Page(url)
        page.say(kind="play", **{"from": 0})
        page.until(lambda: page.events, "nothing plays")
        page.say(kind="pause")
        page.say(kind="play", **{"from": 100})
        page.until(lambda: page.events[-1].last >= 100, "it does not go on")
        numbers = [events.first for events in page.events]
        assert numbers == [*range(numbers.index(100)), *range(100, numbers[-1] + 1)]


def test_a_long_run_is_seen_whole(save) -> None:
    """In two thousand columns at most, each with the greatest norms of its steps."""
    norms = np.full((5001, 1), 1.0)
    norms[3333] = 1000.0
    run = save(norms.tolist())
    with served(run) as (url, _):
        page = Page(url)
        page.until(lambda: page.columns, "there is no picture")
    assert 1000 <= len(page.columns) <= 2000
    assert page.columns[0].first == 0
    assert page.columns[-1].last == 5000
    firsts = [column.first for column in page.columns[1:]]
    assert firsts == [column.last + 1 for column in page.columns[:-1]]
    (spike,) = [column for column in page.columns if column.norms[0] == 1000.0]
    assert spike.first <= 3333 <= spike.last


def test_standard_input_is_a_run(save) -> None:
    """Heard by each who listens from its beginning, whether it is whole or not."""
    lines = save(RUN).read_bytes().splitlines(keepends=True)
    first = lines[0] + lines[1] + lines[2][:20]
    with served("-", first=first) as (url, process):
        page = Page(url)
        page.say(kind="play", **{"from": 0})
        page.until(lambda: page.events, "nothing plays")
        process.stdin.write(lines[2][20:] + b"".join(lines[3:]))
        process.stdin.close()
        page.until(lambda: "over" in page.kinds(), "it does not end")
        again = Page(url)
        played(again)
    for each in (page, again):
        assert [events.last for events in each.events[:4]] == [0, 1, 2, 3]


def test_a_file_that_grows_is_seen_from_its_beginning_and_heard_from_now_on(save) -> None:
    """What is in it already is known, so a spike after it is one."""
    run = gradsound.read_run(save([[1.0 + k % 3 / 10] for k in range(41)]))
    steps = [*run.steps]
    writer = RunWriter(Path("growing.jsonl"), run.header)
    writer.write(steps[:39])
    with served("growing.jsonl", "--follow") as (url, _):
        page = Page(url)
        page.until(lambda: page.columns, "there is no picture")
        assert (page.columns[0].first, page.columns[-1].last) == (0, 38)
        assert not page.events
        spike = gradsound.Step(39, 13.0, np.array([50.0], np.float32), np.zeros(1, bool))
        writer.write([spike])
        page.until(page.captions, "the spike is not found")
        assert page.captions()[0].startswith("step 39: spike in layer0")
        assert page.events[0].last == 39
        page.until(lambda: page.columns[-1].last == 39, "the picture stands still")
    writer.close()


def test_a_run_that_has_not_begun_is_waited_for(save) -> None:
    """Which is said: for its header, and then for its first step."""
    header, *steps = save(RUN).read_bytes().splitlines(keepends=True)
    Path("new.jsonl").touch()
    command = [*GRADSOUND, "serve", "new.jsonl", "--follow"]
    with (
        Path("new.jsonl").open("ab", buffering=0) as file,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process,
    ):
        line = process.stdout.readline
        assert line() == "waiting for a run to begin in new.jsonl\n"
        file.write(header)
        url = line().split()[-1]
        assert line().startswith("from another machine")
        assert line() == "waiting for the first step\n"
        page = Page(url)
        file.write(steps[0])
        page.until(lambda: page.events, "nothing is heard")
        file.write(b"".join(steps[1:]))
        assert line().endswith("NaN in layer0\n")
        page.close()
        process.terminate()


def trained(**options: object) -> tuple:
    model = small()
    optimizer = sgd(model)
    return model, optimizer, gradsound.listen(model, optimizer, web=True, **options)


def test_a_training_is_heard_as_it_happens(capsys) -> None:
    """By all who listen alike; who comes later is told what was."""
    model, optimizer, attachment = trained()
    assert attachment.url in capsys.readouterr().err
    first = Page(attachment.url)
    train(model, optimizer, 1)
    first.until(lambda: first.events and first.columns, "nothing is heard")
    assert first.hello["live"]
    for _ in range(3):
        train(model, optimizer, 1)
        time.sleep(0.5)
    late, again = Page(attachment.url), Page(attachment.url, since=1)
    late.next()
    again.next()
    assert [column.last for column in late.columns] == [0, 1, 2, 3]
    assert [column.last for column in again.columns] == [2, 3]
    train(model, optimizer, 1)
    with pytest.raises(ValueError, match="not for a page"):
        attachment.volume = 0.5
    attachment.close()
    assert attachment.url is None
    for page in (first, late, again):
        assert page.end() == 1000
        assert page.kinds()[-1] == "over"
        assert [column.last for column in page.columns][-1] == 4
        assert page.captions()[-1].startswith("step 4: end of the run")
    assert [events.last for events in first.events if events.first <= events.last] == [
        *range(5)
    ]
    heard = [events.notes.tobytes() for events in late.events]
    assert heard == [events.notes.tobytes() for events in again.events]
    recorded = np.stack([step.norms for step in gradsound.read_run("run.jsonl").steps])
    seen = np.stack([column.norms for column in first.columns])
    np.testing.assert_array_equal(seen, recorded)


def test_steps_faster_than_the_ear_are_gathered() -> None:
    """At most fifteen moments and four columns a second, none of which loses a step."""
    model, optimizer, attachment = trained(preset="perone2019")
    page = Page(attachment.url)
    begun = time.monotonic()
    while time.monotonic() - begun < 2:
        train(model, optimizer, 1)
    attachment.close()
    assert page.end() == 1000
    seconds = time.monotonic() - begun
    steps = len([*gradsound.read_run("run.jsonl").steps])
    for parts, most in (
        ([one for one in page.events if one.first <= one.last], 15),
        (page.columns, 4),
    ):
        assert parts[0].first == 0
        assert parts[-1].last == steps - 1
        assert [one.first for one in parts[1:]] == [one.last + 1 for one in parts[:-1]]
        assert 2 <= len(parts) <= most * seconds + 3


def test_weights_are_the_same_to_the_last_bit() -> None:
    """With a page and without."""
    model, optimizer, attachment = trained()
    pages = [Page(attachment.url) for _ in range(10)]
    train(model, optimizer, 20)
    attachment.close()
    bare = small()
    train(bare, sgd(bare), 20)
    for one, other in zip(model.parameters(), bare.parameters()):
        np.testing.assert_array_equal(one.detach(), other.detach())
    assert len(pages) == 10


SCRIPT = """
import os, sys, time, gradsound
sys.path.insert(0, sys.argv[1])
from helpers.models import sgd
from helpers.models import small, train
model = small()
optimizer = sgd(model)
attachment = gradsound.listen(model, optimizer, web=True)
for _ in range(1000):
    train(model, optimizer, 1)
    time.sleep(0.05)
"""


ENDS = """
import os, sys, time, gradsound
sys.path.insert(0, sys.argv[1])
from helpers.models import sgd
from helpers.models import small, train
model = small()
optimizer = sgd(model)
with gradsound.listen(model, optimizer, web=True):
    for _ in range(20 if not sys.argv[2].startswith("SIG") else 1000):
        train(model, optimizer, 1)
        time.sleep(0.05)
    if sys.argv[2] == "raise":
        raise RuntimeError("all is\\nlost: " + 300 * "x")
"""


def ends(how: str) -> str:
    """A training that ends: what its page is told of that."""
    command = [sys.executable, "-c", ENDS, str(Path(__file__).parents[1]), how]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as trainer:
        url = trainer.stderr.readline().decode().split()[-1]
        page = Page(url)
        page.until(lambda: page.events, "nothing is heard")
        if how.startswith("SIG"):
            trainer.send_signal(getattr(signal, how))
    assert page.end() == 1000
    return page.told[-1]["how"]


def test_a_page_is_told_how_its_training_ended() -> None:
    """By itself, by an exception, in a line, by Ctrl-C, or by the system."""
    assert ends("of itself") == ""
    assert ends("raise") == "RuntimeError: all is lost: " + "x" * 173 + "..."
    assert ends("SIGINT") == "interrupted (Ctrl-C)"
    assert ends("SIGKILL") == "the training was killed, or it crashed"


def test_a_trainer_that_is_killed_leaves_nothing_behind() -> None:
    """Its page is told that the run is over."""
    command = [sys.executable, "-c", SCRIPT, str(Path(__file__).parents[1])]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as trainer:
        url = trainer.stderr.readline().decode().split()[-1]
        page = Page(url)
        page.until(lambda: page.events, "nothing is heard")
        trainer.send_signal(signal.SIGKILL)
    assert page.end() == 1000
    assert page.kinds()[-1] == "over"


def test_the_page_is_for_who_has_its_address(save) -> None:
    """And nobody learns from the answer how much of it was right."""
    with served(save(RUN)) as (url, _):
        assert get(url)[0] == 200
        token = url.split("/")[-2]
        root = url.removesuffix(f"{token}/")
        wrong = [token[:-1], token + "x", token.swapcase(), "", "%2e%2e", "%c3%a9"]
        answers = {get(root, f"{other}/")[:2] for other in wrong}
        assert len(answers) == 1
        assert answers.pop()[0] == 403
        assert get(root, token)[::2][0] == 308
        assert get(root, token)[2]["Location"] == f"/{token}/"
        assert get(url, "../server.py")[0] == 404
        assert get(url, "nothing.js")[0] == 404
        with pytest.raises(InvalidStatus, match="403"):
            Page(url.replace(token, token[:-1] + "x"))


@pytest.mark.skipif(
    int(websockets.__version__.split(".")[0]) < 17,
    reason="older websockets hang up on whatever is not a GET",
)
def test_only_what_reads_is_answered(save) -> None:
    """Other methods are told so, wherever; and HEAD has no body."""
    with served(save(RUN)) as (url, _):
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH", "QUERY"):
            for path in ("", "page.js", "socket", "nothing"):
                status, text, headers = get(url, path, method)
                assert (status, headers["Allow"]) == (405, "GET, HEAD"), (method, path)
                assert text == f"gradsound: {method} is not answered\n"
        for path, status in (("", 200), ("voices.js", 200), ("nothing", 404)):
            whole, head = get(url, path), get(url, path, "HEAD")
            assert head == (status, "", whole[2])
        assert get(url, "socket", "HEAD", Origin=Page(url).origin)[0] == 405
        address = urlsplit(url)
        with socket.create_connection((address.hostname, address.port)) as raw:
            raw.sendall(f"HEAD {address.path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            answer = raw.makefile("rb").read()
        assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:9999", 200),
        ("127.0.0.1", 200),
        ("[::1]:80", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example:8421", 403),
        ("evil.example@127.0.0.1", 403),
        ("127.0.0.1;x", 403),
        ("10.0.0.7:8421", 403),
        ("", 403),
        (None, 403),
    ],
)
def test_only_names_of_this_machine_are_served(save, host: str | None, status: int) -> None:
    """A page elsewhere that makes its own name mean this machine gets nothing."""
    with served(save(RUN)) as (url, _):
        assert get(url, Host=host)[0] == status


def test_only_the_page_itself_gets_its_socket(save) -> None:
    """Another origin is refused, and so is none."""
    with served(save(RUN)) as (url, _):
        good = Page(url)
        for origin in ("http://evil.example", "null", good.origin.replace("http", "https")):
            with pytest.raises(InvalidStatus, match="403"):
                Page(url, origin=origin)
            assert get(url, "page.js", Origin=origin)[0] == 403
        with pytest.raises(InvalidStatus, match="403"):
            Page(url, origin=None)
        tunnel = {"Host": "localhost:9999"}  # as ssh -L 9999:... has it
        with pytest.raises(InvalidStatus, match="403"):
            Page(url, additional_headers=tunnel)
        assert get(url, "page.js", Origin=good.origin)[0] == 200


def test_what_is_served_runs_nothing_else(save) -> None:
    """No script but the page's own, in frames of this machine, and no leaked address."""
    with served(save(RUN)) as (url, _):
        page = get(url)
        names = {name.split('"')[0] for name in page[1].split('src="')[1:]}
        for _, text, headers in (page, *(get(url, name) for name in names)):
            policy = dict(
                part.strip().split(" ", 1)
                for part in headers["Content-Security-Policy"].split(";")
            )
            assert policy["default-src"] == "'none'"
            here = "http://localhost:* http://127.0.0.1:*"  # where notebooks are
            assert policy["frame-ancestors"] == here
            assert policy["script-src"] == policy["style-src"] == "'self'"
            assert policy["connect-src"] == f"'self' ws://{url.split('/')[2]}"
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Referrer-Policy"] == "no-referrer"
            assert headers["Cache-Control"] == "no-store"
            assert "style=" not in text
            assert "<script>" not in text


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("x" * 257, 1009),
        (b"\xff\xfe", 1008),
        ("no JSON", 1008),
        ("[]", 1008),
        ('"text"', 1008),
        ("[" * 250, 1008),
    ],
)
def test_a_page_that_says_something_else_is_dropped(save, said, code: int) -> None:
    """And nobody else notices."""
    with served(save(RUN)) as (url, _):
        other, page = Page(url), Page(url)
        page.socket.send(said)
        assert page.end() == code
        played(other)


@pytest.mark.parametrize("begin", [-1, 10**30, True, "0", None, 1.5, {}])
def test_any_beginning_is_survived(save, begin: object) -> None:
    """Steps that there are not are not played, and nothing else is hurt."""
    with served(save(RUN)) as (url, _):
        page = Page(url)
        page.say(kind="play", **{"from": begin})
        page.say(kind="nothing")
        played(page)


def test_there_is_an_end_to_how_many_listen(save) -> None:
    """One more is refused, until another goes."""
    with served(save(RUN)) as (url, _):
        pages = [Page(url) for _ in range(64)]
        with pytest.raises(InvalidStatus, match="503"):
            Page(url)
        pages.pop().close()

        def room() -> bool:
            with contextlib.suppress(InvalidStatus):
                pages.append(Page(url))
            return len(pages) == 64

        until(room, "there is no room again")
        for page in pages:
            page.close()


def test_a_frozen_page_holds_up_nobody() -> None:
    """It is dropped when too much waits for it, and may come again; others get all."""
    from gradsound.web.server import Server

    message, count, listeners = b"x" * (1 << 18), 64, []
    gone, heard = threading.Event(), []

    async def attend(listener) -> None:
        listeners.append(listener)
        listener.send("hello")
        async for _ in listener.said():
            pass
        gone.set()

    async def send() -> None:
        while len(listeners) < 2:
            await asyncio.sleep(0.01)
        for _ in range(count):
            begun = time.monotonic()
            for listener in listeners:
                listener.send(message)
            heard.append(time.monotonic() - begun)
            await asyncio.sleep(0.01)
        while not gone.is_set():
            await asyncio.sleep(0.01)

    address = Address()

    async def serve() -> None:
        server = Server(attend, address.token, {}, elsewhere=False)
        await server.serve(address.listening, send())

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    with socket.create_connection(
        ("127.0.0.1", address.listening.getsockname()[1])
    ) as frozen:
        frozen.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        origin = address.url.split("/")[2]
        frozen.sendall(
            f"GET /{address.token}/socket HTTP/1.1\r\nHost: {origin}\r\n"
            f"Origin: http://{origin}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        until(lambda: listeners, "it is not connected")
        with connect(
            address.url.replace("http", "ws", 1) + "socket",
            origin=f"http://{origin}",
            max_size=None,
        ) as lively:
            assert lively.recv(10) == "hello"
            for _ in range(count):
                assert lively.recv(10) == message
        thread.join(20)
        assert not thread.is_alive(), "the frozen page was not dropped"


def test_the_same_port_again_or_the_next() -> None:
    """So that a tunnel is found again, and two trainings have two pages."""
    with Address().listening as one, Address().listening as other:
        first, second = one.getsockname()[1], other.getsockname()[1]
        assert PORT <= first < second <= PORT + 10
    with Address().listening as again:
        assert again.getsockname()[1] == first
        with pytest.raises(OSError, match=f"port {first}: Address already in use"):
            Address(first)


def test_the_way_through_ssh_is_the_way_one_came(monkeypatch) -> None:
    """The address that the person knows this machine by, and its port."""
    monkeypatch.setenv("LOGNAME", "ada")
    monkeypatch.setenv("SSH_CONNECTION", "10.0.0.9 50222 192.0.2.7 22")
    address = Address()
    port = address.listening.getsockname()[1]
    assert str(address).splitlines() == [
        f"hear it at http://127.0.0.1:{port}/{address.token}/",
        f"from another machine, after: ssh -N -L {port}:127.0.0.1:{port} ada@192.0.2.7",
    ]
    monkeypatch.setenv("SSH_CONNECTION", "10.0.0.9 50222 192.0.2.7 2222")
    assert str(address).endswith("-p 2222 ada@192.0.2.7")
    monkeypatch.delenv("SSH_CONNECTION")
    assert str(address).endswith(f"ada@{socket.gethostname()}")
    address.listening.close()
    with (other := Address(0, "::1")).listening as listening:
        port = listening.getsockname()[1]
        assert f"-L {port}:[::1]:{port} ada@" in str(other)


def test_tokens_cannot_be_guessed() -> None:
    """Each is new, and has 128 bits."""
    tokens = set()
    for _ in range(4):
        with (address := Address()).listening:
            tokens.add(address.token)
    assert len(tokens) == 4
    assert all(len(token) >= 22 for token in tokens)


def test_other_machines_only_when_asked_and_warned(save) -> None:
    """Then addresses are served, and names of this machine, but no others."""
    with pytest.warns(GradsoundWarning, match="not encrypted"):
        address = Address(0, "0.0.0.0")  # noqa: S104 (that is what is tested)
    with address.listening:
        assert address.elsewhere
        assert address.url.startswith("http://127.0.0.1:")
    anywhere = ("--host", "0.0.0.0", "--port", 0)  # noqa: S104
    with served(save(RUN), *anywhere, warns="not encrypted") as (url, _):
        assert get(url)[0] == 200
        assert get(url, Host="192.0.2.7:8421")[0] == 200
        assert get(url, Host=socket.gethostname())[0] == 200
        assert get(url, Host="evil.example")[0] == 403


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.jsonl"], "none.jsonl: No such file or directory"),
        (["empty.jsonl"], "empty.jsonl: empty, expected a run"),
        (["stepless.jsonl"], "stepless.jsonl: has no steps, so there is nothing to hear"),
        (["run.jsonl", "--port", "65536"], "port must be 0 to 65535, got 65536"),
        (["run.jsonl", "--host", "192.0.2.7"], "host must be a name or address of this"),
        (["run.jsonl", "--host", "no.invalid"], "host must be a name or address of this"),
        (["run.jsonl", "--speed", "0"], "speed must be"),
        (["run.jsonl", "--layers", "none*"], "no layer matches 'none*'"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(save, arguments: list[str], message: str) -> None:
    """And ends with 2."""
    save(RUN)
    save([], name="stepless.jsonl")
    Path("empty.jsonl").touch()
    done = subprocess.run(
        [*GRADSOUND, "serve", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"gradsound: {message}")
    assert done.stderr.count("\n") == 1


def test_a_run_that_breaks_off_in_the_middle_is_told(save) -> None:
    """As by any other command."""
    run = save(RUN)
    run.write_bytes(run.read_bytes() + b"nonsense\n")
    done = subprocess.run(
        [*GRADSOUND, "serve", run], capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 2
    assert "line 6" in done.stderr


def test_a_page_has_a_volume_of_its_own() -> None:
    """What is for the sound device is refused for a page."""
    model = small()
    with pytest.raises(ValueError, match="not for a page"):
        gradsound.listen(model, sgd(model), web=True, volume=0.5)
    with pytest.raises(ValueError, match="port must be 0 to 65535, got 65536"):
        gradsound.listen(model, sgd(model), web=65536)
    with pytest.raises(ValueError, match="port must be 0 to 65535, got 'yes'"):
        gradsound.listen(model, sgd(model), web="yes")
    assert not Path("run.jsonl").exists()


def test_a_page_that_cannot_be_served_costs_no_run(save) -> None:
    """The run that was there has its name, and nothing else is left."""
    before = save(RUN).read_bytes()
    model = small()
    with Address().listening as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"port {port}: Address already in use"):
            gradsound.listen(model, sgd(model), web=port)
    assert Path("run.jsonl").read_bytes() == before
    assert [path.name for path in Path().iterdir()] == ["run.jsonl"]


def test_without_websockets(monkeypatch) -> None:
    """What to install is said, before anything is written."""
    monkeypatch.setattr("gradsound.web.host_and_port.find_spec", lambda _: None)
    model = small()
    with pytest.raises(MissingExtraError, match=r"pip install 'gradsound\[web\]'"):
        gradsound.listen(model, sgd(model), web=True)
    assert not Path("run.jsonl").exists()


def test_no_steps_no_fuss() -> None:
    """A page of a training that never began ends with it."""
    _, _, attachment = trained()
    page = Page(attachment.url)
    with pytest.warns(GradsoundWarning, match="nothing to hear"):
        attachment.close()
    assert page.end() == 1000
    assert page.kinds() == ["hello", "over"]


def test_messages_have_numbers_that_any_reader_has() -> None:
    """JSON without NaN, whatever the run has."""
    with served(RUNS / "3-sgd-lr1-batch10.jsonl") as (url, _):
        page = Page(url, parse=lambda text: json.loads(text, parse_constant=pytest.fail))
        page.until(lambda: "marks" in page.kinds(), "there is no picture")
        page.close()
