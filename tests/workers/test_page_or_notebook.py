"""Where ``web=`` plays: in a notebook, on a page, and what it says if it cannot."""

import sys
from pathlib import Path

import pytest
from helpers.jupyter import LISTEN
from helpers.models import sgd, small, train

import gradsound

pytestmark = pytest.mark.usefixtures("own_folder")
WIDGET = "application/vnd.jupyter.widget-view+json"


def run_cells(*cells: str) -> list[list[dict]]:
    """Runs cells in a kernel; returns the outputs of each."""
    nbclient = pytest.importorskip("nbclient", reason="needs nbclient")
    pytest.importorskip("anywidget", reason="needs anywidget")
    from nbformat.v4 import new_code_cell, new_notebook

    notebook = new_notebook(cells=[*map(new_code_cell, cells)])
    nbclient.NotebookClient(notebook, resources={"metadata": {"path": "."}}).execute()
    return [cell["outputs"] for cell in notebook["cells"]]


def shown(outputs: list[dict]) -> list[set[str]]:
    """Returns the types of each thing that a cell displays."""
    return [set(one["data"]) for one in outputs if "data" in one]


def printed(outputs: list[dict]) -> str:
    """Returns what a cell prints."""
    return "".join(one["text"] for one in outputs if one["output_type"] == "stream")


def test_a_kernel_shows_a_widget_then_the_run() -> None:
    """A cell that names the attachment too shows it once; a closed one is its run."""
    listen = LISTEN.replace("LOG", "'run.jsonl'").replace('web="notebook"', "web=True")
    first, second, third = run_cells(
        f"{listen}run\nrun",
        "train(3, 0)\nrun.url, run.volume\nrun",
        "try:\n    run.volume = 0.5\nexcept ValueError as error:\n    print(error)\n"
        "run.close()\nrun",
    )
    assert shown(first) == shown(second) == [{"text/html", "text/plain"}]
    assert "<audio" in first[0]["data"]["text/html"]
    assert printed(third) == "volume is not for a page, which has its own\n"
    assert "3 steps" in third[-1]["data"]["text/html"]


def test_a_kernel_that_ends_keeps_the_widget() -> None:
    """Where no widget can be shown, its text says what to do."""
    listen = LISTEN.replace("LOG", "'run.jsonl'")
    (outputs,) = run_cells(listen)
    assert shown(outputs) == [{WIDGET, "text/plain"}]
    assert "listen with web=8421 instead" in outputs[0]["data"]["text/plain"]


def test_without_anywidget_a_kernel_says_what_to_install() -> None:
    """web=True then serves a page, as in any program."""
    listen = LISTEN.replace("LOG", "'run.jsonl'")
    (outputs,) = run_cells(
        "import sys\nsys.modules['anywidget'] = None\ntry:\n"
        + "".join(f"    {line}\n" for line in listen.splitlines())
        + "except ImportError as error:\n    print(error)\n"
        "gradsound.listen(model, optimizer, web=True, log='run.jsonl').close()",
    )
    text = printed(outputs)
    assert "anywidget is not installed: pip install anywidget\n" in text
    assert "hear it at http://127.0.0.1:" in text


@pytest.mark.parametrize("installed", [True, False])
def test_a_program_without_a_notebook_serves_a_page(
    installed: bool, capsys, monkeypatch
) -> None:
    """It says so in one sentence, whether or not anywidget is installed."""
    if not installed:
        monkeypatch.setitem(sys.modules, "anywidget", None)
    model = small()
    optimizer = sgd(model)
    with gradsound.listen(model, optimizer, web="notebook") as attachment:
        train(model, optimizer, 1)
        assert attachment.url.startswith("http://127.0.0.1:")
    first, second, _ = capsys.readouterr().err.splitlines()
    assert first == "gradsound: no notebook runs this program, so a page plays the run"
    assert second.startswith("gradsound: hear it at http://")
    assert Path("run.jsonl").is_file()


def test_a_run_file_that_is_removed_meanwhile_is_shown_all_the_same() -> None:
    """The trainer restores it; the cell of the widget shows the run, as does its name."""
    listen = LISTEN.replace("LOG", "'run.jsonl'")
    quiet = "import os, warnings\nwarnings.simplefilter('ignore')\n"
    close = f"{quiet}os.remove('run.jsonl')\ntrain(3, 0.6)\nrun.close()\nrun"
    first, second = run_cells(listen, close)
    for outputs in (first, second):
        assert shown(outputs) == [{"text/html", "text/plain"}]
        assert "<audio" in str(outputs)


def test_another_text_is_refused() -> None:
    """The error names what there is."""
    model = small()
    with pytest.raises(ValueError, match="must be True, a port, or 'notebook', got 'lab'"):
        gradsound.listen(model, sgd(model), web="lab")


def test_a_player_that_is_killed_is_warned_of_and_delays_nothing() -> None:
    """The training goes on, and draws no picture in between; the cell says what ended."""
    listen = LISTEN.replace("LOG", "'run.jsonl'")
    kill = (
        "import os, signal, warnings\nwarnings.simplefilter('always')\n"
        "process = run._recorder.player._process._process\n"
        "os.kill(process.pid, signal.SIGKILL)\nprocess.wait()\ntrain(1, 0.6)\ntrain(2, 0)\n"
        "run.close()\nprint(len([*gradsound.read_run('run.jsonl').steps]), 'steps')"
    )
    first, second = run_cells(listen, kill)
    assert shown(first) == [{"text/html", "text/plain"}]
    assert "process that played this training has ended" in str(first)
    assert "no live sound: the sound process ended with status -9" in printed(second)
    assert "gradsound serve --follow" in printed(second)
    assert "3 steps" in printed(second)
