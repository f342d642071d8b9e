"""A page of one file in Firefox: from a file, and in a frame that may only run scripts."""

from html import escape
from pathlib import Path

import pytest
from helpers.firefox import firefox
from helpers.runs import make_run

import gradsound

STATE = "document.body.dataset.state"
STEP = "document.getElementById('step-number').textContent"
ERROR = "document.getElementById('sound-error').textContent"


@pytest.mark.realtime
def test_firefox_plays_it(server) -> None:
    """It plays by a key from a file, to the end; and a sandboxed frame shows the run."""
    assert server.playing() == 0
    run = make_run([[1.0, 2.0], [0.5, float("nan")]], ("</script>", "fc"))
    gradsound.render(run, "run.html", speed=4.0)
    page = escape(Path("run.html").read_text())
    Path("outer.html").write_text(f'<iframe sandbox="allow-scripts" srcdoc="{page}">')
    with firefox() as tab:
        tab.open(Path("run.html").absolute().as_uri())
        tab.until("waiting", STATE)
        tab.press(" ")
        tab.until("over", STATE)
        assert tab.text(STEP) == "1"
        assert tab.text(ERROR) == ""
        captions = tab.text("document.getElementById('captions').textContent")
        assert "step 1: NaN in fc" in captions
        tab.open(Path("outer.html").absolute().as_uri())
        tab.until("waiting", STATE, frame=True)
        assert tab.lines == []
