"""The server of the page: the messages it sends, and the requests it refuses."""

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
from helpers.processes import MARK, processes, started, until, zombies
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

import gradsound
from gradsound.errors import GradsoundWarning, MissingExtraError
from gradsound.music.composer import Composer
from gradsound.music.presets import PRESETS
from gradsound.rendering.sound import Sound
from gradsound.runs.step_block import make_block
from gradsound.runs.writer import RunWriter
from gradsound.synth.events import EVENT
from gradsound.synth.limiter import limit
from gradsound.synth.mixer import EventQueue
from gradsound.synth.voices.program import PADDING
from gradsound.web.broadcast import distinct_programs
from gradsound.web.page_address import PageAddress
from gradsound.web.port import PORT

NAN, INF = float("nan"), float("inf")
RUN = [[1.0, 2.0, 0.5], [NAN, 3.0, 1.0], [0.1, INF, None], [5.0, 0.0, 1.0]]
RUNS = Path(__file__).parents[2] / "samples" / "runs"


@pytest.fixture(autouse=True)
def _isolate(monkeypatch, tmp_path) -> None:
    """Runs each test in its own folder; no process may survive it."""
    monkeypatch.setenv(MARK, tmp_path.name + os.urandom(4).hex())
    monkeypatch.chdir(tmp_path)
    yield
    until(lambda: not processes(), "a process still runs")
    assert not zombies()


def play_to_end(page: Page) -> None:
    """Plays a finished run on a page from its first step to its end."""
    page.send(kind="play", **{"from": 0})
    page.receive_until(lambda: "over" in page.kinds(), "the playback does not end")


def render_events(page: Page, preset: gradsound.Preset, layers: list[str]) -> np.ndarray:
    """Renders the note events of a page with the mixer, shape (frames, channels)."""
    programs = distinct_programs(Composer(layers, preset).voices)
    notes = np.concatenate([events.notes for events in page.events])
    frames = int((notes["first"] + notes["count"]).max())
    block = np.zeros((preset.channels, frames + PADDING), np.float32)
    for number, program in enumerate(programs):
        own = notes[notes["voice"] == number]
        events = np.zeros(len(own), EVENT)
        for name in EVENT.names:
            events[name] = own[name]
        voice = EventQueue(program, preset.channels)
        voice.add(events)
        voice.render(block, 0, 1 / page.hello["sample_rate"])
    return limit(block[:, :frames]).T


@pytest.mark.parametrize("preset", ["notes", "chord", "ambient", "perone2019"])
def test_the_page_plays_what_render_writes(save, preset: str) -> None:
    """The note events of a page render to the samples of `gradsound render`."""
    run = save(RUN)
    with served(run, "--preset", preset) as (url, _):
        page = Page(url)
        play_to_end(page)
    sound = Sound([gradsound.read_run(run)], PRESETS[preset])
    expected = np.concatenate([*sound.blocks()])
    samples = render_events(page, PRESETS[preset], [row["name"] for row in page.rows])
    silence = len(expected) - len(samples)  # at the end, without note events
    assert silence >= 0
    assert not expected[len(samples) :].any()
    # The two sides may add up voices in another order, which rounds differently.
    np.testing.assert_allclose(samples, expected[: len(samples)], atol=2e-7)


def test_a_page_gets_header_picture_and_alarms_first(save) -> None:
    """A page gets header, picture and alarms at once, and note events after `play`."""
    run = save(RUN, layers=("a.w", "b.w", "c.w"), comment="<b>free & text</b>")
    with served(run) as (url, _):
        page = Page(url)
        page.receive_until(lambda: "marks" in page.kinds(), "no picture arrives")
        hello = page.hello
        assert hello["kind"] == "hello"
        assert (hello["run"], hello["note"]) == ("run.jsonl", "<b>free & text</b>")
        assert [row["name"] for row in page.rows] == ["a.w", "b.w", "c.w"]
        assert [row["layer"] for row in page.rows] == [0, 1, 2]
        assert [line["spans"] for line in hello["lines"]] == [[[0, 1]], [[1, 2]], [[2, 3]]]
        assert [line["tracks"] for line in hello["lines"]] == [[0], [1], [2]]
        assert (hello["live"], hello["sample_rate"]) == (False, 44_100)
        norms = np.stack([column.norms for column in page.columns])
        expected = np.array(
            [[-1.0 if n is None else n for n in row] for row in RUN], np.float32
        )
        np.testing.assert_array_equal(norms, expected)
        assert [column.first for column in page.columns] == [0, 1, 2, 3]
        assert [column.last for column in page.columns] == [0, 1, 2, 3]
        times = [column.time for column in page.columns]
        np.testing.assert_allclose(times, [0, 1 / 3, 2 / 3, 1], atol=1e-6)  # as written
        marks = page.messages[-1]["marks"]
        assert [(mark["step"], mark["type"]) for mark in marks] == [(1, "nonfinite")]
        assert [mark["rows"] for mark in marks] == [[0]]
        assert not page.events
        play_to_end(page)
        assert [events.last for events in page.events[:4]] == [0, 1, 2, 3]
        captions = [one for one in page.messages if one["kind"] == "caption"]
        assert [one["type"] for one in captions] == ["nonfinite", "end"]
        assert [(one["step"], one["warns"]) for one in captions] == [(1, True), (3, False)]
        assert captions[0]["frame"] >= page.events[1].begin


def test_a_playback_starts_at_the_requested_step(save) -> None:
    """Earlier steps update the statistics, so a step sounds the same from any start."""
    run = save([[1.0], [1.1], [0.9], [7.0]])
    with served(run) as (url, _):
        whole, part = Page(url), Page(url)
        whole.send(kind="play", **{"from": 0})
        part.send(kind="play", **{"from": 3})
        for page in (whole, part):
            page.receive_until(
                lambda page=page: "over" in page.kinds(), "the playback does not end"
            )
    assert [events.first for events in part.events][:1] == [3]
    last, only = whole.events[3].notes, part.events[0].notes
    for name in ("count", "increment", "gain", "controls"):
        np.testing.assert_array_equal(last[name], only[name])


def test_captions_show_the_time_of_the_run(save) -> None:
    """A caption shows the run's time from any first step and at any speed."""
    run = save([[1.0]] * 300 + [[NAN]] + [[1.0]] * 6)  # three steps a second
    with served(run, "--speed", 4) as (url, _):
        page = Page(url)
        page.send(kind="play", **{"from": 299})
        page.receive_until(lambda: "over" in page.kinds(), "the playback does not end")
    clocks = {
        one["type"]: one["clock"] for one in page.messages if one["kind"] == "caption"
    }
    assert clocks["nonfinite"] == "1:40"


@pytest.mark.realtime
def test_failed_connections_are_not_logged(save) -> None:
    """Silent connections log nothing, even if they exhaust the file descriptors."""
    limited = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)); "
    command = (
        f"{limited}from gradsound.cli.main import main; main(['serve', '{save(RUN)}'])"
    )
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with started([sys.executable, "-c", command], **pipes) as process:
        url = process.stdout.readline().decode().split()[-1]
        address = ("127.0.0.1", int(url.split(":")[2].split("/")[0]))
        page = Page(url)
        page.receive_until(lambda: "marks" in page.kinds(), "no picture arrives")
        idle = [socket.create_connection(address) for _ in range(100)]
        time.sleep(1.5)
        for one in idle:
            one.close()
        until(lambda: get(url)[0] == 200, "the server does not answer again")
        page.close()
        process.terminate()
        assert process.stderr.read() == b""


def test_a_pause_ends_the_playback(save) -> None:
    """After a pause, `play` starts a new playback at its own step."""
    run = save([[float(k + 1)] for k in range(200)])
    with served(run) as (url, _):
        page = Page(url)
        page.send(kind="play", **{"from": 0})
        page.receive_until(lambda: page.events, "no note event arrives")
        page.send(kind="pause")
        page.send(kind="play", **{"from": 100})
        page.receive_until(
            lambda: page.events[-1].last >= 100, "the second playback does not start"
        )
        numbers = [events.first for events in page.events]
        assert numbers == [*range(numbers.index(100)), *range(100, numbers[-1] + 1)]


def test_a_long_run_has_at_most_2000_columns(save) -> None:
    """The columns of a long run cover all steps; each keeps the largest norm."""
    norms = np.full((5001, 1), 1.0)
    norms[3333] = 1000.0
    run = save(norms.tolist())
    with served(run) as (url, _):
        page = Page(url)
        page.receive_until(lambda: page.columns, "no picture arrives")
    assert 1000 <= len(page.columns) <= 2000
    assert page.columns[0].first == 0
    assert page.columns[-1].last == 5000
    firsts = [column.first for column in page.columns[1:]]
    assert firsts == [column.last + 1 for column in page.columns[:-1]]
    (spike,) = [column for column in page.columns if column.norms[0] == 1000.0]
    assert spike.first <= 3333 <= spike.last


def test_each_page_plays_standard_input_from_its_start(save) -> None:
    """Every page plays a run on standard input from its start, complete or not."""
    lines = save(RUN).read_bytes().splitlines(keepends=True)
    first = lines[0] + lines[1] + lines[2][:20]
    with served("-", stdin=first) as (url, process):
        page = Page(url)
        page.send(kind="play", **{"from": 0})
        page.receive_until(lambda: page.events, "no note event arrives")
        process.stdin.write(lines[2][20:] + b"".join(lines[3:]))
        process.stdin.close()
        page.receive_until(lambda: "over" in page.kinds(), "the playback does not end")
        later = Page(url)
        play_to_end(later)
    for each in (page, later):
        assert [events.last for events in each.events[:4]] == [0, 1, 2, 3]


def test_follow_shows_old_steps_and_plays_new_ones(save) -> None:
    """Old steps fill the picture and the statistics, so a new spike is an alarm."""
    run = gradsound.read_run(save([[1.0 + k % 3 / 10] for k in range(41)]))
    steps = [*run.steps]
    writer = RunWriter(Path("growing.jsonl"), run.header)
    writer.write(make_block(steps[:39]))
    with served("growing.jsonl", "--follow") as (url, _):
        page = Page(url)
        page.receive_until(lambda: page.columns, "no picture arrives")
        assert (page.columns[0].first, page.columns[-1].last) == (0, 38)
        assert not page.events
        spike = gradsound.Step(39, 13.0, np.array([50.0], np.float32), np.zeros(1, bool))
        writer.write(make_block([spike]))
        page.receive_until(page.captions, "the spike is no alarm")
        assert page.captions()[0].startswith("step 39: spike in layer0")
        assert page.events[0].last == 39
        page.receive_until(lambda: page.columns[-1].last == 39, "the picture does not grow")
    writer.close()


def test_a_page_gets_the_rows_that_it_opens(save) -> None:
    """A live page gets old and new columns in the rows that it asked for, also later."""
    names = tuple(f"h.{k}.{part}" for k in range(30) for part in ("attn", "mlp"))
    norms = [[float(60 * step + k) for k in range(60)] for step in range(3)]
    run = save(norms, layers=names)
    lines = run.read_text().splitlines(keepends=True)
    run.write_text("".join(lines[:-1]))
    with served("--follow", run) as (url, _):
        page, other = Page(url), Page(url)
        for one in (page, other):
            one.receive_until(lambda one=one: one.columns, "no picture arrives")
        assert [row["name"] for row in page.rows] == ["attention", "mlp"]
        page.send(kind="open", path=[0])
        page.receive_until(lambda: len(page.rows) > 2, "no rows arrive")
        page.receive_until(lambda: page.columns, "no columns of them arrive")
        expected = [*(2 * (5 * k + 4) for k in range(6)), 58, 59]  # the last layer of each
        assert [*page.columns[0].norms] == expected
        with run.open("a") as file:
            file.write(lines[-1])
        page.receive_until(lambda: page.columns[-1].last == 2, "no new column arrives")
        other.receive_until(lambda: other.columns[-1].last == 2, "no new column arrives")
        assert [*page.columns[-1].norms] == [norm + 120 for norm in expected]
        assert [*other.columns[-1].norms] == [58 + 120, 59 + 120]
        again = Page(url, since=1, opened="0")
        again.receive_until(lambda: again.columns, "no picture arrives")
        assert len(again.rows) == 8
        assert [column.last for column in again.columns] == [2]
        for one in (page, other, again):
            one.close()


def test_follow_waits_for_header_and_first_step(save) -> None:
    """The command reports that it waits for the header, then for the first step."""
    header, *steps = save(RUN).read_bytes().splitlines(keepends=True)
    Path("new.jsonl").touch()
    command = [*GRADSOUND, "serve", "new.jsonl", "--follow"]
    with (
        Path("new.jsonl").open("ab", buffering=0) as file,
        started(command, stdout=subprocess.PIPE, text=True) as process,
    ):
        line = process.stdout.readline
        assert line() == "waiting for a run to begin in new.jsonl\n"
        file.write(header)
        url = line().split()[-1]
        assert line().startswith("from another machine")
        assert line() == "waiting for the first step\n"
        page = Page(url)
        file.write(steps[0])
        page.receive_until(lambda: page.events, "no note event arrives")
        file.write(b"".join(steps[1:]))
        assert line().endswith("NaN in layer0\n")
        page.close()
        process.terminate()


def listen_on_page(**options: object) -> tuple:
    """Starts a training with a page; returns model, optimizer and attachment."""
    model = small()
    optimizer = sgd(model)
    return model, optimizer, gradsound.listen(model, optimizer, web=True, **options)


@pytest.mark.realtime
def test_all_pages_of_a_training_hear_the_same(capsys) -> None:
    """All pages get the same events; a later page gets the columns that it lacks."""
    model, optimizer, attachment = listen_on_page()
    assert attachment.url in capsys.readouterr().err
    first = Page(attachment.url)
    train(model, optimizer, 1)
    first.receive_until(lambda: first.events and first.columns, "no note event arrives")
    assert first.hello["live"]
    for _ in range(3):
        train(model, optimizer, 1)
        time.sleep(0.5)
    late, again = Page(attachment.url), Page(attachment.url, since=1)
    late.receive_until(lambda: late.columns, "no picture arrives")
    again.receive_until(lambda: again.columns, "no picture arrives")
    assert [column.last for column in late.columns] == [0, 1, 2, 3]
    assert [column.last for column in again.columns] == [2, 3]
    train(model, optimizer, 1)
    with pytest.raises(ValueError, match="not for a page"):
        attachment.volume = 0.5
    attachment.close()
    assert attachment.url is None
    for page in (first, late, again):
        assert page.receive_close() == 1000
        assert page.kinds()[-1] == "over"
        assert [column.last for column in page.columns][-1] == 4
        assert page.captions()[-1].startswith("step 4: end of the run")
    assert [events.last for events in first.events if events.first <= events.last] == [
        *range(5)
    ]
    notes = [events.notes.tobytes() for events in late.events]
    assert notes == [events.notes.tobytes() for events in again.events]
    recorded = np.stack([step.norms for step in gradsound.read_run("run.jsonl").steps])
    norms = np.stack([column.norms for column in first.columns])
    np.testing.assert_array_equal(norms, recorded)


@pytest.mark.realtime
def test_fast_steps_are_merged() -> None:
    """A page gets at most 15 moments and 4 columns a second, and every step is in one."""
    model, optimizer, attachment = listen_on_page(preset="perone2019")
    page = Page(attachment.url)
    start = time.monotonic()
    while time.monotonic() - start < 2:
        train(model, optimizer, 1)
    attachment.close()
    assert page.receive_close() == 1000
    seconds = time.monotonic() - start
    steps = len([*gradsound.read_run("run.jsonl").steps])
    for parts, most in (
        ([one for one in page.events if one.first <= one.last], 15),
        (page.columns, 4),
    ):
        assert parts[0].first == 0
        assert parts[-1].last == steps - 1
        assert [one.first for one in parts[1:]] == [one.last + 1 for one in parts[:-1]]
        assert 2 <= len(parts) <= most * seconds + 3


def test_pages_do_not_change_the_weights() -> None:
    """The weights are bit-identical with ten pages and without attachment."""
    model, optimizer, attachment = listen_on_page()
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


def outcome_of(end: str) -> str:
    """Runs a training that ends in one way; returns the outcome that its page shows."""
    command = [sys.executable, "-c", ENDS, str(Path(__file__).parents[1]), end]
    with started(command, stderr=subprocess.PIPE) as trainer:
        url = trainer.stderr.readline().decode().split()[-1]
        page = Page(url)
        page.receive_until(lambda: page.events, "no note event arrives")
        if end.startswith("SIG"):
            trainer.send_signal(getattr(signal, end))
    assert page.receive_close() == 1000
    return page.messages[-1]["how"]


def test_a_page_shows_how_its_training_ended() -> None:
    """A page shows no outcome, an exception in one line, Ctrl-C or a kill."""
    assert outcome_of("of itself") == ""
    assert outcome_of("raise") == "RuntimeError: all is lost: " + "x" * 173 + "..."
    assert outcome_of("SIGINT") == "interrupted (Ctrl-C)"
    assert outcome_of("SIGKILL") == "the training was killed, or it crashed"


def test_a_killed_trainer_leaves_no_process() -> None:
    """When the trainer is killed, its page ends and no process survives."""
    command = [sys.executable, "-c", SCRIPT, str(Path(__file__).parents[1])]
    with started(command, stderr=subprocess.PIPE) as trainer:
        url = trainer.stderr.readline().decode().split()[-1]
        page = Page(url)
        page.receive_until(lambda: page.events, "no note event arrives")
        trainer.send_signal(signal.SIGKILL)
    assert page.receive_close() == 1000
    assert page.kinds()[-1] == "over"


def test_a_wrong_token_is_refused(save) -> None:
    """The server refuses every wrong token alike, however close it is."""
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
    reason="older websockets close the connection on any method but GET",
)
def test_only_get_and_head_are_allowed(save) -> None:
    """Every path refuses other methods with 405, and HEAD has no body."""
    with served(save(RUN)) as (url, _):
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH", "QUERY"):
            for path in ("", "page.js", "socket", "nothing"):
                status, text, headers = get(url, path, method)
                assert (status, headers["Allow"]) == (405, "GET, HEAD"), (method, path)
                assert text == f"gradsound: {method} is not allowed; use GET or HEAD\n"
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
def test_only_names_of_this_machine_are_accepted(
    save, host: str | None, status: int
) -> None:
    """The server refuses foreign host names, so DNS rebinding gets nothing."""
    with served(save(RUN)) as (url, _):
        assert get(url, Host=host)[0] == status


def test_only_the_page_itself_opens_its_socket(save) -> None:
    """The WebSocket refuses another origin and a missing one."""
    with served(save(RUN)) as (url, _):
        good = Page(url)
        for origin in ("http://evil.example", "null", good.origin.replace("http", "https")):
            with pytest.raises(InvalidStatus, match="403"):
                Page(url, origin=origin)
            assert get(url, "page.js", Origin=origin)[0] == 403
        with pytest.raises(InvalidStatus, match="403"):
            Page(url, origin=None)
        tunnel = {"Host": "localhost:9999"}  # through ssh -L 9999:...
        with pytest.raises(InvalidStatus, match="403"):
            Page(url, additional_headers=tunnel)
        assert get(url, "page.js", Origin=good.origin)[0] == 200


def test_the_page_runs_only_its_own_scripts(save) -> None:
    """The policy permits only the page's scripts, local frames, and no referrer."""
    with served(save(RUN)) as (url, _):
        page = get(url)
        names = {name.split('"')[0] for name in page[1].split('src="')[1:]}
        for _, text, headers in (page, *(get(url, name) for name in names)):
            policy = dict(
                part.strip().split(" ", 1)
                for part in headers["Content-Security-Policy"].split(";")
            )
            assert policy["default-src"] == "'none'"
            here = "http://localhost:* http://127.0.0.1:*"  # where notebooks run
            assert policy["frame-ancestors"] == here
            assert policy["script-src"] == "'self' 'wasm-unsafe-eval'"
            assert policy["style-src"] == "'self'"
            assert policy["connect-src"] == f"'self' ws://{url.split('/')[2]}"
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Referrer-Policy"] == "no-referrer"
            assert headers["Cache-Control"] == "no-store"
            assert "style=" not in text
            assert "<script>" not in text


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("x" * 257, 1009),
        (b"\xff\xfe", 1008),
        ("no JSON", 1008),
        ("[]", 1008),
        ('"text"', 1008),
        ("[" * 250, 1008),
    ],
)
def test_a_page_that_sends_no_json_object_is_dropped(save, message, code: int) -> None:
    """The server closes such a connection; other pages play on."""
    with served(save(RUN)) as (url, _):
        other, page = Page(url), Page(url)
        page.socket.send(message)
        assert page.receive_close() == code
        play_to_end(other)


@pytest.mark.parametrize("begin", [-1, 10**30, True, "0", None, 1.5, {}])
def test_any_first_step_is_harmless(save, begin: object) -> None:
    """A `play` from a missing step or no number plays nothing and does no harm."""
    with served(save(RUN)) as (url, _):
        page = Page(url)
        page.send(kind="play", **{"from": begin})
        page.send(kind="nothing")
        play_to_end(page)


def test_at_most_64_pages_listen(save) -> None:
    """The server refuses a 65th page until another one closes."""
    with served(save(RUN)) as (url, _):
        pages = [Page(url) for _ in range(64)]
        with pytest.raises(InvalidStatus, match="503"):
            Page(url)
        pages.pop().close()

        def room() -> bool:
            with contextlib.suppress(InvalidStatus):
                pages.append(Page(url))
            return len(pages) == 64

        until(room, "the server refuses the page still")
        for page in pages:
            page.close()


@pytest.mark.realtime
def test_a_frozen_page_delays_no_other() -> None:
    """The server drops a page with over 2 MB unsent; other pages get every message."""
    from gradsound.web.server import Server

    message, count, listeners = b"x" * (1 << 18), 64, []
    dropped = threading.Event()

    async def serve_listener(listener) -> None:
        listeners.append(listener)
        listener.send("hello")
        async for _ in listener.messages():
            pass
        dropped.set()

    async def send() -> None:
        while len(listeners) < 2:
            await asyncio.sleep(0.01)
        for _ in range(count):
            for listener in listeners:
                listener.send(message)
            await asyncio.sleep(0.01)
        while not dropped.is_set():
            await asyncio.sleep(0.01)

    address = PageAddress()

    async def serve() -> None:
        server = Server(serve_listener, address.token, {}, is_public=False)
        await server.serve(address.socket, send())

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    with socket.create_connection(("127.0.0.1", address.socket.getsockname()[1])) as frozen:
        frozen.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        origin = address.url.split("/")[2]
        frozen.sendall(
            f"GET /{address.token}/socket HTTP/1.1\r\nHost: {origin}\r\n"
            f"Origin: http://{origin}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        until(lambda: listeners, "the frozen page is not connected")
        with connect(
            address.url.replace("http", "ws", 1) + "socket",
            origin=f"http://{origin}",
            max_size=None,
        ) as lively:
            assert lively.recv(10) == "hello"
            for _ in range(count):
                assert lively.recv(10) == message
        thread.join(20)
        assert not thread.is_alive(), "the server does not drop the frozen page"


def test_the_port_is_stable() -> None:
    """Address takes the first free port from 8421 on, again and again."""
    with PageAddress().socket as one, PageAddress().socket as other:
        first, second = one.getsockname()[1], other.getsockname()[1]
        assert PORT <= first < second <= PORT + 10
    with PageAddress().socket as again:
        assert again.getsockname()[1] == first
        with pytest.raises(OSError, match=f"port {first}: Address already in use"):
            PageAddress(first)


def test_the_ssh_command_uses_the_address_of_this_session(monkeypatch) -> None:
    """The ssh command has the host and port by which the user logged in."""
    monkeypatch.setenv("LOGNAME", "ada")
    monkeypatch.setenv("SSH_CONNECTION", "10.0.0.9 50222 192.0.2.7 22")
    address = PageAddress()
    port = address.socket.getsockname()[1]
    assert str(address).splitlines() == [
        f"hear it at http://127.0.0.1:{port}/{address.token}/",
        f"from another machine, after: ssh -N -L {port}:127.0.0.1:{port} ada@192.0.2.7",
    ]
    monkeypatch.setenv("SSH_CONNECTION", "10.0.0.9 50222 192.0.2.7 2222")
    assert str(address).endswith("-p 2222 ada@192.0.2.7")
    monkeypatch.delenv("SSH_CONNECTION")
    assert str(address).endswith(f"ada@{socket.gethostname()}")
    address.socket.close()
    with (other := PageAddress(0, "::1")).socket as listening:
        port = listening.getsockname()[1]
        assert f"-L {port}:[::1]:{port} ada@" in str(other)


def test_tokens_are_random() -> None:
    """Each token is new and has 128 bits."""
    tokens = set()
    for _ in range(4):
        with (address := PageAddress()).socket:
            tokens.add(address.token)
    assert len(tokens) == 4
    assert all(len(token) >= 22 for token in tokens)


def test_a_public_address_warns(save) -> None:
    """A public server warns, and accepts IP addresses and names of this machine."""
    with pytest.warns(GradsoundWarning, match="not encrypted"):
        address = PageAddress(0, "0.0.0.0")  # noqa: S104 (tested here)
    with address.socket:
        assert address.is_public
        assert address.url.startswith("http://127.0.0.1:")
    anywhere = ("--host", "0.0.0.0", "--port", 0)  # noqa: S104
    with served(save(RUN), *anywhere, warning="not encrypted") as (url, _):
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
def test_bad_arguments_end_with_one_line(save, arguments: list[str], message: str) -> None:
    """The command writes one line and exits with status 2."""
    save(RUN)
    save([], name="stepless.jsonl")
    Path("empty.jsonl").touch()
    process = subprocess.run(
        [*GRADSOUND, "serve", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert process.returncode == 2
    assert process.stderr.startswith(f"gradsound: {message}")
    assert process.stderr.count("\n") == 1


def test_a_damaged_run_is_an_error(save) -> None:
    """The command names the damaged line and exits with status 2."""
    run = save(RUN)
    run.write_bytes(run.read_bytes() + b"nonsense\n")
    process = subprocess.run(
        [*GRADSOUND, "serve", run], capture_output=True, text=True, check=False, timeout=30
    )
    assert process.returncode == 2
    assert "line 6" in process.stderr


def test_a_page_refuses_options_of_the_sound_device() -> None:
    """`listen(web=...)` refuses a volume and a bad port, and writes no file."""
    model = small()
    with pytest.raises(ValueError, match="not for a page"):
        gradsound.listen(model, sgd(model), web=True, volume=0.5)
    with pytest.raises(ValueError, match="port must be 0 to 65535, got 65536"):
        gradsound.listen(model, sgd(model), web=65536)
    with pytest.raises(ValueError, match="True, a port, or 'notebook', got 'yes'"):
        gradsound.listen(model, sgd(model), web="yes")
    assert not Path("run.jsonl").exists()


def test_a_taken_port_keeps_the_earlier_run(save) -> None:
    """If the port is taken, the earlier run keeps its name and no file is added."""
    before = save(RUN).read_bytes()
    model = small()
    with PageAddress().socket as listening_socket:
        port = listening_socket.getsockname()[1]
        with pytest.raises(OSError, match=f"port {port}: Address already in use"):
            gradsound.listen(model, sgd(model), web=port)
    assert Path("run.jsonl").read_bytes() == before
    assert [path.name for path in Path().iterdir()] == ["run.jsonl"]


def test_without_websockets(monkeypatch) -> None:
    """`listen(web=True)` names the missing package before it writes a file."""
    monkeypatch.setitem(sys.modules, "websockets", None)
    model = small()
    with pytest.raises(MissingExtraError, match="pip install websockets"):
        gradsound.listen(model, sgd(model), web=True)
    assert not Path("run.jsonl").exists()


def test_a_training_without_steps_ends_its_page() -> None:
    """The page of a training without steps ends with the training."""
    _, _, attachment = listen_on_page()
    page = Page(attachment.url)
    with pytest.warns(GradsoundWarning, match="nothing to hear"):
        attachment.close()
    assert page.receive_close() == 1000
    assert page.kinds() == ["hello", "over"]


def test_messages_are_strict_json() -> None:
    """No message has NaN or Infinity, which JSON does not know."""
    with served(RUNS / "3-sgd-lr1-batch10.jsonl") as (url, _):
        page = Page(url, decode=lambda text: json.loads(text, parse_constant=pytest.fail))
        page.receive_until(lambda: "marks" in page.kinds(), "no picture arrives")
        page.close()
