"""The steps of a notebook's cell are written when the cell ends."""

import gc
import weakref

import IPython
import pytest
from helpers.models import sgd, small, train
from IPython.core.interactiveshell import InteractiveShell

import gradsound

pytestmark = pytest.mark.usefixtures("own_folder")


@pytest.fixture
def shell(notebook: InteractiveShell, monkeypatch) -> InteractiveShell:
    """The shell that runs the cells, as modules find it."""
    monkeypatch.setattr(IPython, "get_ipython", lambda: notebook)
    return notebook


def attach(shell: InteractiveShell) -> gradsound.Attachment:
    """Attaches to a model that the cells train; no step is written when it comes."""
    model = small()
    optimizer = sgd(model)
    attachment = gradsound.attach(model, optimizer)
    attachment._monitor.queue._next_emission = 1e300
    shell.user_ns |= {"model": model, "optimizer": optimizer, "train": train}
    return attachment


def written() -> int:
    """Returns how many steps the run file has."""
    return len([*gradsound.read_run("run.jsonl").steps])


def test_a_cell_writes_all_its_steps(shell) -> None:
    """Also one that ends by an exception, or is interrupted; without a further step."""
    with attach(shell):
        shell.run_cell("train(model, optimizer, 3)")
        assert written() == 3
        for error in ("RuntimeError", "KeyboardInterrupt"):
            before = written()
            shell.run_cell(f"train(model, optimizer, 2); raise {error}")
            assert written() == before + 2


def test_a_closed_attachment_leaves_the_shell_as_it_was(shell) -> None:
    """It removes its callback, which keeps nothing alive."""
    before = [*shell.events.callbacks["post_run_cell"]]
    attachment = attach(shell)
    monitor = weakref.ref(attachment._monitor)
    assert len(shell.events.callbacks["post_run_cell"]) == len(before) + 1
    shell.run_cell("train(model, optimizer, 1)")
    attachment.close()
    attachment.close()
    assert shell.events.callbacks["post_run_cell"] == before
    del attachment
    shell.user_ns.clear()
    gc.collect()
    assert monitor() is None


def test_a_callback_that_other_code_removed(shell) -> None:
    """Closing raises no error then."""
    with attach(shell):
        shell.events.callbacks["post_run_cell"].clear()
        shell.run_cell("train(model, optimizer, 3)")
    assert written() == 3
