"""Fixtures for all tests: a working folder, a sound server, a browser, a run file."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from _pytest.runner import runtestprotocol
from helpers.browser import chromium
from helpers.lateness import Pressure
from helpers.processes import MARK, processes, until
from helpers.runs import make_run, with_signals
from helpers.sound_server import SoundServer, missing_program
from hypothesis import HealthCheck, settings

import gradsound
from gradsound.runs.step_block import make_block
from gradsound.runs.writer import RunWriter

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell
    from playwright.sync_api import Browser

# Only Python 3.14 and later let code into another process: `make newest` runs these.
collect_ignore = [] if sys.version_info >= (3, 14) else ["newest"]
FORBID_SKIPS = "GRADSOUND_FORBID_SKIPS"
_REPETITIONS = 2
# A busy machine says nothing about the code under test.
settings.register_profile(
    "untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("untimed")
_repeated: list[str] = []  # reasons and names of tests, one for each repetition


def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Repeats a test of real time that fails: twice on a busy machine, else once.

    The control is the same moment, but it does not see every pause of a shared machine.
    """
    if item.get_closest_marker("realtime") is None:
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for attempt in range(_REPETITIONS + 1):
        with Pressure() as machine:
            reports = runtestprotocol(item, log=False, nextitem=nextitem)
        allowed = _REPETITIONS if machine.busy else 1
        if attempt >= allowed or not any(report.failed for report in reports):
            break
        reason = "the machine was busy" if machine.busy else "it failed once"
        _repeated.append(f"{reason}: {item.nodeid}")
        item._initrequest()  # new fixtures
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Names the tests that were repeated."""
    for name in _repeated:
        terminalreporter.write_line(f"repeated, because {name}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    """Fails a skipped test where the environment variable says that nothing is missing."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get(FORBID_SKIPS):
        report.outcome = "failed"
        report.longrepr = f"{FORBID_SKIPS} is set, but this was skipped: {report.longrepr}"
    return report


@pytest.fixture(autouse=True)
def _nothing_left_open() -> Iterator[None]:
    yield
    if "helpers.monitors" in sys.modules:  # it is not without torch
        sys.modules["helpers.monitors"].close_all()


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes an empty temporary folder the working directory."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def _sound_server() -> Iterator[SoundServer]:
    if (program := missing_program()) is not None:
        pytest.skip(f"there is no sound server: {program}")
    server = SoundServer()
    yield server
    server.remove()


@pytest.fixture
def server(
    _sound_server: SoundServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[SoundServer]:
    """Runs a sound server for the test's processes, in an empty working directory."""
    for name, value in _sound_server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(MARK, uuid.uuid4().hex)
    monkeypatch.chdir(tmp_path)
    yield _sound_server
    until(lambda: not processes(), "a process is left")
    until(lambda: not _sound_server.playing(), "a stream is left")


# The scope is not the session: Playwright runs an event loop in the thread of the tests for
# as long as it lives, and no other test could run one.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Starts Chromium for the tests of one module."""
    with chromium() as chromium_browser:
        yield chromium_browser


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    """Returns a function that writes norms to a run file and returns its path.

    Its ``signals`` are those of `with_signals`.
    """

    def write(
        norms: list[list[float | None]],
        *,
        name: str = "run.jsonl",
        signals: dict[str, object] | None = None,
        **kwargs,
    ) -> Path:
        run = with_signals(make_run(norms, **kwargs), **(signals or {}))
        writer = RunWriter(tmp_path / name, run.header)
        if norms:
            writer.write(make_block([*run.steps]))
        writer.close()
        return tmp_path / name

    return write


@pytest.fixture
def notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    """The IPython shell that runs a notebook's cells."""
    from IPython.core.interactiveshell import InteractiveShell  # slow, and for few tests
    from traitlets.config import Config

    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / ".ipython"))
    shell = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    shell.user_ns |= {"gradsound": gradsound}
    yield shell
    shell.restore_sys_module_state()
