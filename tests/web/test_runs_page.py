"""The list of the runs in a folder, in a browser and as messages, and the runs' pages."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.browser import chromium
from helpers.pages import Page as Listener
from helpers.pages import get, served
from helpers.processes import MARK, processes, until
from helpers.runs import make_run
from playwright.sync_api import Page, expect
from websockets.sync.client import connect

from gradsound.runs.step_block import make_block
from gradsound.runs.writer import RunWriter

NAN = float("nan")


@pytest.fixture(autouse=True)
def _isolate(monkeypatch, tmp_path) -> Iterator[None]:
    """Runs each test in its own folder; no process may survive it."""
    monkeypatch.setenv(MARK, tmp_path.name + os.urandom(4).hex())
    monkeypatch.chdir(tmp_path)
    Path("runs").mkdir()
    yield
    until(lambda: not processes(), "a process still runs")


def write(name: str, rows: list[list[float]], day: int = 1, comment: str = "") -> RunWriter:
    """Writes a run file that began at some day; returns its open writer."""
    run = make_run(rows, comment=comment)
    start = f"2026-11-{day:02d}T12:00:00+00:00"
    Path("runs", name).parent.mkdir(exist_ok=True)
    writer = RunWriter(Path("runs", name), replace(run.header, start=start))
    if rows:
        writer.write(make_block([*run.steps]))
    return writer


def save(name: str, rows: list[list[float]], day: int = 1, comment: str = "") -> None:
    write(name, rows, day, comment).close()


class List:
    """A WebSocket to the list of runs, and the runs that it has told so far."""

    def __init__(self, url: str) -> None:
        self.runs: dict[str, dict] = {}
        self.messages: list[dict] = []
        address = url.replace("http://", "ws://") + "socket"
        self._connection = connect(address, origin=url[: url.index("/", 7)])
        self._socket = self._connection.__enter__()
        self.receive()

    def receive(self) -> None:
        message = json.loads(self._socket.recv(15))
        if message["kind"] != "runs":
            return
        self.messages.append(message)
        self.runs |= {run["run"]: run for run in message["runs"]}
        for name, run in [*self.runs.items()]:
            if run["id"] in message["gone"]:
                del self.runs[name]

    def receive_until(self, condition, failure: str) -> None:
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline, failure
            self.receive()

    def close(self) -> None:
        self._connection.__exit__(None, None, None)


@contextmanager
def listed(url: str) -> Iterator[List]:
    page = List(url)
    yield page
    page.close()


def test_the_list_has_the_facts_of_each_run() -> None:
    """The first message has all runs, the newest first; their alarms follow."""
    save("good.jsonl", [[1.0, 2.0]] * 40, 1, "<b>lr</b>")
    save("deep/bad.jsonl", [[1.0, 2.0]] * 40 + [[NAN, 2.0]], 2)
    with served("runs", "--port", 0) as (url, _), listed(url) as page:
        first = page.messages[0]
        assert first["folder"] == "runs"
        assert [run["run"] for run in first["runs"]] == ["deep/bad.jsonl", "good.jsonl"]
        good = page.runs["good.jsonl"]
        assert (good["note"], good["steps"], good["ranks"]) == ("<b>lr</b>", 40, 1)
        assert (good["state"], good["tool"], good["began"]) == ("ended", "", 1793534400)
        page.receive_until(
            lambda: None not in [run["alarms"] for run in page.runs.values()],
            "no alarms are found",
        )
        assert page.runs["deep/bad.jsonl"]["alarms"] == "1 nonfinite, last at step 40"
        assert [page.runs[run]["warns"] for run in ("deep/bad.jsonl", "good.jsonl")] == [
            *(True, False),
        ]


def test_the_list_follows_the_folder() -> None:
    """New runs, new steps, ends and removed runs arrive, and nothing that is the same."""
    save("old.jsonl", [[1.0]] * 3)
    with served("runs", "--port", 0) as (url, _), listed(url) as page:
        writer = write("new.jsonl", [[1.0]] * 2, 2)
        page.receive_until(lambda: "new.jsonl" in page.runs, "the new run does not come")
        assert page.runs["new.jsonl"]["state"] == "growing"
        writer.write(make_block([replace(next(iter(make_run([[1.0]]).steps)), number=9)]))
        page.receive_until(
            lambda: page.runs["new.jsonl"]["steps"] == 10, "new steps do not come"
        )
        writer.close()
        page.receive_until(
            lambda: page.runs["new.jsonl"]["state"] == "ended", "the end does not come"
        )
        Path("runs/old.jsonl").unlink()
        page.receive_until(lambda: "old.jsonl" not in page.runs, "a removed run stays")
        same = [run for one in page.messages[1:] for run in one["runs"]]
        assert not [one for k, one in enumerate(same) if one in same[:k]]


def test_a_folder_may_go_and_come_back() -> None:
    """A network may fail for a while; the list is empty meanwhile, and goes on."""
    save("run.jsonl", [[1.0]])
    with served("runs", "--port", 0) as (url, _), listed(url) as page:
        Path("runs").rename("gone")
        page.receive_until(lambda: not page.runs, "the run is still listed")
        Path("gone").rename("runs")
        page.receive_until(lambda: page.runs, "the run is not listed again")


def test_a_finished_run_plays_and_a_growing_one_is_followed() -> None:
    """The page of a run has its own voices and its own stream."""
    save("done.jsonl", [[1.0, 2.0]] * 3)
    writer = write("live.jsonl", [[1.0, 2.0]] * 3, 2)
    with served("runs", "--port", 0) as (url, _), listed(url) as page:
        done, live = (
            f"{url}run/{page.runs[name]['id']}/" for name in ("done.jsonl", "live.jsonl")
        )
        assert get(done)[0] == 200
        assert 'id="picture"' in get(done)[1]
        assert get(done, "voices.js")[0] == 200
        finished = Listener(done)
        assert (finished.hello["run"], finished.hello["live"]) == ("done.jsonl", False)
        finished.send(kind="play", **{"from": 0})
        finished.receive_until(lambda: "over" in finished.kinds(), "it does not play")
        assert [events.first for events in finished.events[:3]] == [0, 1, 2]
        finished.close()

        follower = Listener(live)
        assert (follower.hello["run"], follower.hello["live"]) == ("live.jsonl", True)
        later = [
            replace(step, number=step.number + 3, time=step.time + 1)
            for step in make_run([[3.0, 2.0]] * 2).steps
        ]
        follower.receive_until(lambda: follower.columns, "the steps so far do not come")
        writer.write(make_block(later))
        follower.receive_until(
            lambda: any(events.last == 4 for events in follower.events),
            "a new step does not sound",
        )
        writer.close()
        follower.receive_until(lambda: "over" in follower.kinds(), "the end does not come")
        follower.close()
        again = Listener(live)
        assert again.hello["live"] is False
        again.close()


@pytest.mark.parametrize(
    "path",
    [
        *("run/0123456789abcdef/", "run/../", "run/%2e%2e/", "run/", "run//", "run/x"),
        *("run/../../../../etc/passwd", "run/secret.jsonl/", "run/..%2fsecret.jsonl/"),
        *("secret.jsonl", "../secret.jsonl", "run/0123456789abcdef/voices.js"),
    ],
)
def test_no_other_file_can_be_reached(path: str) -> None:
    """A run has the identifier of the list alone; paths and file names lead nowhere."""
    save("run.jsonl", [[1.0]])
    Path("secret.jsonl").write_bytes(Path("runs/run.jsonl").read_bytes())
    with served("runs", "--port", 0) as (url, _):
        status, text, _ = get(url, path)
        assert (status, "secret" in text) in ((404, False), (308, False), (403, False))


def test_the_pages_of_runs_need_the_token() -> None:
    """Without the token, the page of a run does not exist, nor does its socket."""
    save("run.jsonl", [[1.0]])
    with served("runs", "--port", 0) as (url, _), listed(url) as page:
        run = page.runs["run.jsonl"]["id"]
        token = url.rstrip("/").rsplit("/", 1)[1]
        for path in (f"run/{run}/", f"run/{run}/socket"):
            assert get(url.replace(token, "x" * len(token)), path)[0] == 403
        assert get(url, f"run/{run}/socket")[0] == 403  # no origin
        assert get(url, f"run/{run}")[2]["Location"].endswith(f"/{token}/run/{run}/")


def test_a_run_that_cannot_be_played_says_why() -> None:
    """A log without norms has no page, and the reason has its name."""
    Path("runs/metrics.csv").write_text("step,loss\n0,1.0\n")
    save("run.jsonl", [[1.0]])
    with served("runs", "--port", 0) as (url, _), listed(url) as page:
        status, text, _ = get(url, f"run/{page.runs['metrics.csv']['id']}/")
        assert status == 404
        assert "metrics.csv" in text
        assert "norm" in text


def test_a_run_without_steps_says_so() -> None:
    """A training that ended before its first step has no page, at any attempt."""
    save("run.jsonl", [])
    with served("runs", "--port", 0) as (url, _), listed(url) as page:
        for _attempt in range(2):
            status, text, _ = get(url, f"run/{page.runs['run.jsonl']['id']}/")
            assert status == 404
            assert "run.jsonl: has no steps, so there is nothing to hear" in text


def expect_state(page: Page, name: str) -> None:
    expect(page.locator("body")).to_have_attribute("data-state", name, timeout=15_000)


@pytest.mark.realtime
def test_the_list_in_a_browser() -> None:
    """Keys and clicks lead to a run and back; text stays text; words find runs."""
    save("good.jsonl", [[1.0, 2.0]] * 40, 1, "<b>lr</b> 1/3")
    save("deep/bad.jsonl", [[1.0, 2.0]] * 40 + [[NAN, 2.0]], 2)
    errors = []
    with served("runs", "--port", 0) as (url, _), chromium() as browser:
        page = browser.new_page()
        page.on("console", lambda message: errors.append(message.text))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(url)
        rows = page.locator("#runs tbody tr")
        expect(rows).to_have_count(2)
        expect(rows.nth(0)).to_contain_text("deep/bad.jsonl")
        expect(rows.nth(0)).to_contain_text("1 nonfinite", timeout=15_000)
        expect(rows.nth(1)).to_contain_text("<b>lr</b> 1/3")
        expect(rows.nth(1).locator("b")).to_have_count(0)
        expect(page.get_by_role("table", name="Runs, the newest first")).to_be_visible()
        expect(page.get_by_role("rowheader", name="good.jsonl")).to_be_visible()

        page.get_by_label("Find").fill("LR good")
        expect(page.locator("#count")).to_have_text("1 of 2 runs")
        expect(rows.nth(0)).to_be_hidden()
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "good.jsonl"
        page.keyboard.press("Enter")
        expect_state(page, "waiting")
        expect(page.locator("#run")).to_have_text("good.jsonl")
        page.get_by_role("link", name="All runs").click()
        expect(rows).to_have_count(2)
        page.locator("tr", has_text="bad.jsonl").locator("td.alarms").click(force=True)
        expect_state(page, "waiting")
        expect(page.locator("#run")).to_have_text("bad.jsonl")
        page.go_back()
        expect(rows).to_have_count(2)

        writer = write("new.jsonl", [[1.0, 2.0]], 3)
        expect(rows).to_have_count(3, timeout=15_000)
        expect(rows.nth(0)).to_contain_text("growing")
        page.set_viewport_size({"width": 360, "height": 700})
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        writer.close()
        expect(rows.nth(0)).to_contain_text("ended", timeout=15_000)
        page.close()
    assert errors == []


@pytest.mark.realtime
def test_the_page_of_a_single_run_has_no_list() -> None:
    """The link to all runs is for folders alone."""
    save("run.jsonl", [[1.0, 2.0]] * 4)
    with served("runs/run.jsonl", "--port", 0) as (url, _), chromium() as browser:
        page = browser.new_page()
        page.goto(url)
        expect_state(page, "waiting")
        expect(page.locator("#all-runs")).to_be_hidden()
        page.close()


def test_a_folder_takes_neither_follow_nor_then() -> None:
    """The error says that each page of the folder follows its run."""
    save("run.jsonl", [[1.0]])
    for option in (["--follow"], ["--then", "runs/run.jsonl"]):
        with (
            pytest.raises(AssertionError, match=f"leave out {option[0]}"),
            served("runs", "--port", 0, *option),
        ):
            pass


def test_an_empty_folder_waits_for_its_first_run() -> None:
    """A folder without runs is served, and its first run appears."""
    with served("runs", "--port", 0) as (url, _), listed(url) as page:
        assert page.messages[0]["runs"] == []
        save("run.jsonl", [[1.0]])
        page.receive_until(lambda: page.runs, "the first run does not come")
