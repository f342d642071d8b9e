"""`gradsound run` runs a program as Python does: the same output, errors and status."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from helpers.processes import started, until
from helpers.scripts import RUN, execute

NOTHING = "gradsound: the script does not import torch, so there is nothing to hear\n"
SCRIPTS = {
    "names": """
import sys, warnings
print(sys.argv, __name__, __file__, sys.path[0], __package__, __cached__)
print(__spec__ and __spec__.name)
print(__doc__, type(__loader__).__name__, __annotations__, sorted(globals()))
print(sys.modules["__main__"].__dict__ is globals(), "torch" in sys.modules)
print(sys.stdout.errors, sys.stderr.errors, [*warnings.filters])
print([name for name in ("numpy", "soundfile") if name in sys.modules])
""",
    "exit": "import sys; print('out'); sys.exit(7)",
    "exit text": "raise SystemExit('a reason')",
    "exit none": "raise SystemExit",
    "error": """
def inner():
    raise ValueError("bad")
def outer():
    try:
        inner()
    except ValueError as error:
        raise RuntimeError("worse") from error
outer()
""",
    "group": """
def failed():
    try:
        1 / 0
    except ZeroDivisionError as error:
        return error
raise ValueError(failed())
""",
    "syntax": "print('never')\nif True print(1)\n",
    "encoding": "# coding: latin-1\nprint(ascii('\xe9'))\n",
    "hook": """
import sys
sys.excepthook = lambda kind, error, tb: print("own hook", kind, tb.tb_frame.f_code.co_name)
raise KeyError("x")
""",
    "interrupt": "raise KeyboardInterrupt",
    "os exit": "import os, sys; print('out', flush=True); os._exit(9)",
    "atexit": "import atexit, sys; atexit.register(print, 'bye'); sys.exit(3)",
    "thread": """
import threading, time
threading.Thread(target=lambda: (time.sleep(0.2), print("late"))).start()
print("main ends")
""",
    "future": "def f(x: int): pass\nprint(f.__annotations__)\n",
    "main guard": "if __name__ == '__main__':\n    print('is main')\n",
    "input": "print(input())",
    "warning": "import warnings\nwarnings.warn('careful')\n",
    "pickle": """
import pickle
class Thing: pass
print(type(pickle.loads(pickle.dumps(Thing()))) is Thing)
""",
    "spawn": """
import multiprocessing, sys
print("top", __name__)
def work(x):
    return x + 1, [n for n in sys.modules if n.startswith("gradsound")]
if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.map(work, [1]))
""",
    "signals": """
import signal
print(signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT).__name__)
""",
    "own modules": """
import argparse, queue, config
print(argparse, queue, config.gettext)
""",
}


def compare(words: list[object], folder: Path, text: str = "") -> None:
    """Runs words by Python and by `gradsound run`, and compares all that is seen."""
    python = execute(words, folder, text)
    ours = execute([*RUN, *words], folder, text)

    assert ours.stdout == python.stdout
    assert ours.stderr.replace(NOTHING, "") == python.stderr
    assert ours.returncode == python.returncode


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_runs_as_by_python(tmp_path: Path, name: str) -> None:
    """Output, traceback and exit status of a script are those of Python."""
    path = tmp_path / "a folder" / "train.py"
    path.parent.mkdir()
    path.write_text(SCRIPTS[name], encoding="latin-1")
    if name == "own modules":
        for module in ("argparse", "queue", "gettext"):
            (path.parent / f"{module}.py").write_text("")
        (path.parent / "config.py").write_text("import gettext\n")

    compare(["a folder/train.py", "--web", "-x", "1"], tmp_path, "a line\n")


@pytest.mark.parametrize("name", ["names", "error", "exit", "interrupt"])
def test_a_module_runs_as_by_python(tmp_path: Path, name: str) -> None:
    """``-m`` takes a module or a package with a ``__main__``, and its arguments."""
    package = tmp_path / "package"
    package.mkdir()
    for file in ("__main__", "train"):
        (package / f"{file}.py").write_text(SCRIPTS[name])
    (package / "__init__.py").touch()

    compare(["-m", "package.train", "--web"], tmp_path)
    compare(["-m", "package", "1"], tmp_path)
    compare(["-m", "package.absent"], tmp_path)
    compare(["-mpackage.train"], tmp_path)


@pytest.mark.parametrize("name", ["exit", "error", "syntax", "main guard", "interrupt"])
def test_a_code_runs_as_by_python(tmp_path: Path, name: str) -> None:
    """``-c`` takes a code, and its arguments."""
    compare(["-c", SCRIPTS[name], "--web"], tmp_path)
    compare(["-c", "import sys; print(sys.argv, sys.path[0], globals())", "-x"], tmp_path)


def test_a_folder_and_a_zip_file_run_as_by_python(tmp_path: Path) -> None:
    """A folder or a zip file with a ``__main__.py`` is a script; so is compiled code."""
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "__main__.py").write_text(SCRIPTS["error"])
    with zipfile.ZipFile(tmp_path / "app.zip", "w") as archive:
        archive.writestr(
            "__main__.py", "import sys; print(sys.argv, sys.path[0], __name__)"
        )
    execute(["-m", "compileall", "-b", "app"], tmp_path)

    for script in ("app", "app.zip", "app/__main__.pyc"):
        compare([script, "1"], tmp_path)


def test_a_link_runs_as_by_python(tmp_path: Path) -> None:
    """The first entry of the path is the folder of the linked script."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "train.py").write_text(SCRIPTS["names"])
    (tmp_path / "link.py").symlink_to("real/train.py")

    compare(["link.py"], tmp_path)


@pytest.mark.parametrize(
    "words", [["-m", "gradsound"], [Path(sys.executable).parent / "gradsound"]]
)
def test_ctrl_c_ends_a_script_as_under_python(tmp_path: Path, words: list[object]) -> None:
    """The script sees KeyboardInterrupt, prints its traceback, and dies of the signal."""
    (tmp_path / "train.py").write_text(
        "import time\nprint('ready', flush=True)\nwhile True: time.sleep(60)\n"
    )
    ends = []
    for own in ([], [*words, "run"]):
        command = [str(word) for word in own if word] + ["train.py"]
        if not own or own[0] == "-m":
            command.insert(0, sys.executable)
        with started(
            command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout.readline() == "ready\n"
            time.sleep(0.5)  # the script sleeps by then
            process.send_signal(signal.SIGINT)
            stderr_text = process.communicate(timeout=30)[1]
        ends.append((process.returncode, stderr_text.replace(NOTHING, "")))

    assert ends[0] == ends[1]
    assert "KeyboardInterrupt" in ends[0][1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "name the script to run; see 'gradsound run --help'"),
        (["--web"], "name the script to run"),
        (["absent.py", "--web"], "absent.py: No such file or directory"),
        (["empty"], "empty: is a folder; name the script in it"),
        (["-m"], "-m needs a module"),
        (["-c"], "-c needs a code"),
        (["--wbe", "train.py"], "unrecognized arguments: --wbe (did you mean --web?)"),
        (["--wav"], "--wav: expected one argument"),
        (["--live", "--web", "train.py"], "--live and --web are two ways to listen: give"),
        (["--port", "8000", "train.py"], "--port is for a page: add --web"),
        (["--web", "--port", "70000", "train.py"], "port must be 0 to 65535, got 70000"),
        (["--volume", "0.5", "train.py"], "--volume is for a sound device: add --live"),
        (
            ["--wav", "run.aac", "train.py"],
            "a sound file ends in .wav, .flac, .ogg, .mp3, .opus",
        ),
        (["--log", "absent/run.jsonl", "train.py"], "there is no folder"),
        (["--budget", "2", "train.py"], "budget must be a share of time between 0 and 1"),
        (["--signals", "srn", "train.py"], "no signal 'srn'; did you mean 'snr'?"),
        (["--preset", "note", "train.py"], "no preset 'note'; did you mean 'notes'?"),
        (["--voice", "bel", "train.py"], "did you mean 'bell'?"),
        (["--start-step", "-1", "train.py"], "start_step must be a whole number"),
    ],
)
def test_wrong_words_are_one_line(tmp_path: Path, words: list[str], message: str) -> None:
    """Before the script runs, a mistake is one line on standard error, and status 2."""
    (tmp_path / "train.py").write_text("print('ran')")
    (tmp_path / "empty").mkdir()
    process = execute([*RUN, *words], tmp_path)

    assert (process.returncode, process.stdout) == (2, "")
    assert message in process.stderr
    assert process.stderr.startswith("gradsound: ")
    assert process.stderr.count("\n") == 1


def test_two_dashes_end_the_options(tmp_path: Path) -> None:
    """After ``--``, even a script whose name begins with a dash is one."""
    (tmp_path / "-x.py").write_text("import sys; print(sys.argv)")
    process = execute([*RUN, "--log", "a.jsonl", "--", "-x.py", "--", "1"], tmp_path)

    assert process.stdout == "['-x.py', '--', '1']\n"


def test_a_script_that_closes_its_streams_ends_well(tmp_path: Path) -> None:
    """The sentence at the end needs no standard error."""
    compare(["-c", "import sys; sys.stderr.close(); sys.stdout.close()"], tmp_path)
    compare(["-c", "import sys; sys.stderr = None"], tmp_path)


def test_the_output_may_go_to_head(tmp_path: Path) -> None:
    """A script whose reader stops gets BrokenPipeError, as under Python."""
    code = "import sys\nfor _ in range(100000): print('line')"
    ends = []
    for own in ([], RUN):
        command = [sys.executable, *own, "-c", code]
        with started(
            command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            process.stdout.readline()
            process.stdout.close()
            until(lambda process=process: process.poll() is not None, "it ends")
            ends.append((process.returncode, process.stderr.read().replace(NOTHING, "")))

    assert ends[0] == ends[1]


def test_another_module_is_called_torch(tmp_path: Path) -> None:
    """A torch that does not fit ends the recording with one sentence, never the script."""
    (tmp_path / "torch.py").write_text("thing = 7\n")
    (tmp_path / "burn.py").write_text("import torch\nprint(torch.thing)\n")

    process = execute([*RUN, "burn.py"], tmp_path)

    assert (process.returncode, process.stdout) == (0, "7\n")
    begin = "gradsound: nothing is recorded, because this torch does not fit: "
    assert process.stderr.startswith(begin)
    assert process.stderr.count("\n") == 1
