"""Documentation pages: they build without a warning and need no network."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields, is_dataclass
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import gradsound

ROOT = Path(__file__).parents[2]
# What a page loads by itself, by element.
LOADED = {
    "audio": "src",
    "iframe": "src",
    "img": "src",
    "link": "href",
    "script": "src",
    "source": "src",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Builds the pages as `make docs` does."""
    folder = tmp_path_factory.mktemp("site")
    options = ["--fail-on-warning", "--keep-going", "--fresh-env", "--quiet"]
    command = [sys.executable, "-m", "sphinx", *options, "docs", folder]
    process = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert " ".join(options) in (ROOT / "Makefile").read_text()
    return folder


class Page(HTMLParser):
    """Parses a page: the files it loads, its links and its anchors."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        has = dict(attrs)
        if (reference := has.get(LOADED.get(tag, ""))) is not None:
            self.loads.append(reference)
        if tag == "a" and "href" in has:
            self.links.append(has["href"])
        if "id" in has:
            self.anchors.add(has["id"])


page = cache(Page)


def test_every_link_leads_somewhere(site: Path) -> None:
    """Every relative link leads to an existing file, and to an anchor that the page has."""
    pages = sorted(site.glob("*.html"))
    assert {"index", "api", "changelog"} < {path.stem for path in pages}
    for path in pages:
        for link in page(path).links:
            parts = urlsplit(link)
            if parts.scheme:
                continue
            target = path.parent / unquote(parts.path) if parts.path else path
            assert target.is_file(), f"{path.name}: {link}"
            if parts.fragment and target.suffix == ".html":
                assert unquote(parts.fragment) in page(target).anchors, link


def test_every_document_is_a_page(site: Path) -> None:
    """Every document becomes a page; the README is the index, with pictures and sounds."""
    stems = {path.stem for path in site.glob("*.html")}
    assert {path.stem for path in ROOT.glob("docs/*.md")} < stems
    first = page(site / "index.html")
    pictures = [load for load in first.loads if load.endswith("batch10.png")]
    assert len(pictures) == 1
    assert sum(load.endswith(".ogg") for load in first.loads) >= 6


def test_every_public_name_is_in_the_reference(site: Path) -> None:
    """The reference has every public name with its methods and properties."""
    names = {f"gradsound.{name}" for name in gradsound.__all__}
    for name in gradsound.__all__:
        value = getattr(gradsound, name)
        if isinstance(value, type):
            members = {member for member in vars(value) if not member.startswith("_")}
            if is_dataclass(value):
                members -= {field.name for field in fields(value)}
            names |= {f"gradsound.{name}.{member}" for member in members}
    names |= {f"gradsound.{name}Callback" for name in ("Lightning", "Transformers")}
    assert names <= page(site / "api.html").anchors


def test_pages_ask_for_nothing_elsewhere(site: Path, browser) -> None:
    """In a browser, the pages load only files of the site; a sound and a run play."""
    tab = browser.new_page()
    urls, failed = [], []
    tab.on("request", lambda request: urls.append(request.url))
    tab.on("requestfailed", lambda request: failed.append(request.url))
    tab.on("pageerror", lambda error: failed.append(str(error)))
    for path in sorted(site.glob("*.html")):
        tab.goto(path.as_uri())  # until all is loaded
    assert all(url.startswith((site.as_uri(), "data:")) for url in urls), urls
    assert failed == []

    tab.goto((site / "listening.html").as_uri())
    seconds = tab.evaluate(
        """() => new Promise((resolve, failed) => {
            const player = document.querySelector("audio");
            player.onloadedmetadata = () => resolve(player.duration);
            player.onerror = failed;
            player.preload = "metadata";
        })"""
    )
    assert 20 < seconds < 200  # the legend
    (frame,) = [frame for frame in tab.frames if frame.parent_frame]
    frame.wait_for_selector("body[data-state=waiting]")
    assert frame.inner_text("h1") == "3-sgd-lr1-batch10.jsonl"
    tab.close()


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    """No page names a file elsewhere, not even one that a browser loads later."""
    for path in site.glob("*.html"):
        for load in page(path).loads:
            assert not urlsplit(load).netloc, f"{path.name}: {load}"
    for sheet in site.rglob("*.css"):
        assert "url(http" not in sheet.read_text()
        assert "url(//" not in sheet.read_text()
        assert "@import" not in sheet.read_text()
