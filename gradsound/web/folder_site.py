"""The pages of a folder: the list of its runs, and a page for each run that is opened."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from hashlib import blake2s
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradsound.web.alarm_search import AlarmSearch
from gradsound.web.run_page import open_run_page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradsound.music.presets import Preset
    from gradsound.run_folder import RunFolder
    from gradsound.runs.listed_run import ListedRun
    from gradsound.runs.log_choice import LogChoice
    from gradsound.web.listener import Listener
    from gradsound.web.run_page import RunPage

_PAGE = Path(__file__).with_name("page") / "runs.html"
_POLL_SECONDS = 2.0  # between two listings while a page shows the list
_UNUSED_SECONDS = 60.0  # after which a page without listeners is closed


class FolderSite:
    """Serves the list of the runs in a folder, and opens their pages.

    It reads the first and the last lines of each run for the list. While a page shows the
    list, and none plays a run, it also finds the alarms of one run after the other.

    Args:
        folder: The folder.
        preset: How steps sound.
        layers: Globs over layers; None plays all.
        choice: What to read of other tools' logs.

    Attributes:
        files: The page with the list, as the first page.
    """

    def __init__(
        self,
        folder: RunFolder,
        preset: Preset,
        layers: Sequence[str] | None,
        choice: LogChoice,
    ) -> None:
        self._folder, self._preset = folder, preset
        self._name = folder.path.resolve().name
        self.files = {"index.html": _PAGE.read_text()}
        self._layers, self._choice = layers, choice
        self._runs: dict[str, ListedRun] = {}
        self._alarms = AlarmSearch(choice)
        self._pages: dict[str, RunPage] = {}
        self._listing = asyncio.Lock()
        self._sent: dict[Listener, dict[str, dict[str, Any]]] = {}
        self._search: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Lists the runs while a page shows the list, until it is cancelled."""
        try:
            while True:
                if self._sent:
                    await self._list()
                    self._send()
                    if self._search is None or self._search.done():
                        search = self._alarms.search(self._runs, self._may_search)
                        self._search = asyncio.create_task(search)
                await asyncio.sleep(_POLL_SECONDS)
        finally:
            for page in self._pages.values():
                page.close()

    async def serve_listener(self, listener: Listener) -> None:
        """Sends the list to a page, then what changes in it, until the page closes."""
        await self._list()
        self._sent[listener] = {}
        self._send()
        try:
            async for _ in listener.messages():
                pass
        finally:
            del self._sent[listener]

    async def find_page(self, identifier: str) -> RunPage:
        """Returns the page of a run; opens it if nobody has it open.

        Raises:
            OSError: If the run cannot be read.
            ValueError: If the folder has no such run, or it is damaged.
        """
        page = self._pages.get(identifier)
        if page is not None and page.error is not None:
            self._drop(identifier, page)
            raise ValueError(str(page.error))
        if page is None or (page.over and not page.listeners):
            page = await self._open(identifier)
        loop = asyncio.get_running_loop()
        loop.call_later(_UNUSED_SECONDS, self._drop_unused, identifier, page)
        return page

    async def _open(self, identifier: str) -> RunPage:
        await self._list()
        if identifier not in self._runs:
            raise ValueError("the folder has no such run; the list has those that it has")
        run = self._runs[identifier]
        page = await open_run_page(run, self._preset, self._layers, self._choice)
        if (other := self._pages.get(identifier)) is not None and not other.over:
            page.close()  # another request has opened it meanwhile
            return other
        self._pages[identifier] = page
        return page

    def _drop_unused(self, identifier: str, page: RunPage) -> None:
        if self._pages.get(identifier) is not page:
            return
        if page.listeners:
            loop = asyncio.get_running_loop()
            loop.call_later(_UNUSED_SECONDS, self._drop_unused, identifier, page)
        else:
            self._drop(identifier, page)

    def _drop(self, identifier: str, page: RunPage) -> None:
        page.close()
        del self._pages[identifier]

    async def _list(self) -> None:
        runs: list[ListedRun] = []
        async with self._listing:
            with suppress(OSError):  # the folder has gone, or its network; it may come back
                runs = await asyncio.to_thread(self._folder.list_runs)
        self._runs = {identify(run): run for run in runs}

    def _send(self) -> None:
        rows = {name: self._describe(name, run) for name, run in self._runs.items()}
        for listener, sent in self._sent.items():
            changed = [row for name, row in rows.items() if sent.get(name) != row]
            gone = [name for name in sent if name not in rows]
            if changed or gone or not sent:
                message = {"kind": "runs", "runs": changed, "gone": gone}
                listener.send(json.dumps({"folder": self._name, **message}))
            self._sent[listener] = rows

    async def _may_search(self) -> bool:
        """Waits while a page plays a run; returns whether a page still shows the list."""
        while any(page.listeners for page in self._pages.values()):
            await asyncio.sleep(_POLL_SECONDS)  # the sound comes first
        return bool(self._sent)

    def _describe(self, identifier: str, run: ListedRun) -> dict[str, Any]:
        alarms = self._alarms.found(identifier)
        return {
            "id": identifier,
            "run": run.name,
            "note": run.comment,
            "began": round(run.began),
            "steps": run.steps,
            "ranks": run.ranks,
            "state": run.state,
            "tool": run.tool,
            "alarms": None if alarms is None else str(alarms),
            "warns": not isinstance(alarms, str | None) and alarms.last is not None,
        }


def identify(run: ListedRun) -> str:
    """Returns the name of a run for the addresses of its page: letters and digits only."""
    return blake2s(run.name.encode(errors="surrogateescape"), digest_size=8).hexdigest()
