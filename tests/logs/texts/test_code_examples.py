"""A README with lines of a console in it is no console; a console may print Markdown."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradsound import read_run
from gradsound.errors import GradsoundWarning, RunFormatError
from gradsound.logs.texts.code_examples import blank_examples

LINES = [f"step {k} | loss {2 / k:.3f} | grad_norm {1 / k:.4f}" for k in range(1, 5)]
BLOCK = "\n".join(LINES)
INDENTED = "\n".join(f"    {line}" for line in LINES)

PROSE = {
    "fence": f"# Trainer\n\nIt prints:\n\n```\n{BLOCK}\n```\n\nSee the docs.\n",
    "fence with a language": f"Usage\n=====\n\n```text\n{BLOCK}\n```\n",
    "tildes": f"Hello.\n\n~~~~\n{BLOCK}\n~~~~\n",
    "fence in a list": f"1. Train:\n\n   ```sh\n   python train.py\n   {BLOCK}\n   ```\n",
    "two fences": f"```sh\npython x.py\n```\n\nprints\n\n```\n{BLOCK}\n```\n",
    "a table of code": "| tool | line |\n| --- | --- |\n"
    + "".join(f"| me | `{line.replace('|', ',')}` |\n" for line in LINES),
    "code in a sentence": f"It prints `{LINES[0]}` at step 1.\n",
    "a literal block": f"Output\n------\n\nIt prints::\n\n{INDENTED}\n\nThat is all.\n",
    "a directive": f".. code-block:: text\n   :linenos:\n\n{INDENTED}\n",
    "CRLF": f"# Trainer\r\n\r\n```\r\n{BLOCK}\r\n```\r\n",
}


@pytest.mark.parametrize("kind", PROSE)
def test_prose_with_examples_is_no_console(kind: str, tmp_path: Path) -> None:
    """If all lines with a norm are code examples, a sentence refuses the file."""
    (tmp_path / "README.md").write_text(PROSE[kind], newline="")
    with pytest.raises(RunFormatError, match="no line outside of code examples has a step"):
        read_run(tmp_path / "README.md")


ANSWER = "Sure! Here is code:\n```python\nprint('step 9 grad_norm 9')\n"
CONSOLES = {
    "answers with examples": "".join(f"{ANSWER}```\n{line}\n" for line in LINES),
    "answers that end early": "".join(f"{ANSWER}{line}\n" for line in LINES),
    "early end, then an answer": f"```python\nx = 1\n{BLOCK}\n```py\ny\n```\n",
    "one answer that ends early": f"{ANSWER}{BLOCK}\n",
    "answers that begin within code": "".join(f"```\n{line}\n" for line in LINES),
    "headings": "".join(f"# Answer\n\n1. text\n{line}\n" for line in LINES),
    "names in code": "".join(f"`max_steps` is deprecated\n{line} `x`\n" for line in LINES),
    "C++ names": f"terminate called after at::\n\nstd::\n{BLOCK}\n",
    "indented lines": f"Training:\n\n{INDENTED}\n",
}


@pytest.mark.parametrize("kind", CONSOLES)
def test_a_console_may_print_markdown(kind: str, tmp_path: Path) -> None:
    """A console with answers of a model, or warnings, is read with all its steps."""
    (tmp_path / "train.log").write_text(CONSOLES[kind])
    with pytest.warns(GradsoundWarning, match="is read as a console"):
        run = read_run(tmp_path / "train.log")
    steps = {step.number: float(step.norms[0]) for step in run.steps}

    assert steps.keys() >= {1, 2, 3, 4}
    assert steps[4] == 0.25


def test_a_long_console_with_little_else_is_read(tmp_path: Path) -> None:
    """One line in a thousand may have a norm, among tracebacks and warnings."""
    noise = 'UserWarning: `use_cache=True` is incompatible\n  File "x.py", line 1, in f\n'
    noise += "# note\n\n- item\n```\n| a | b |\n"
    text = "".join(f"{noise * 150}{line}\n" for line in LINES)
    (tmp_path / "train.log").write_text(text)
    with pytest.warns(GradsoundWarning, match="is read as a console: in line 1,051,"):
        run = read_run(tmp_path / "train.log")

    assert [step.number for step in run.steps] == [1, 2, 3, 4]


def test_a_text_without_examples_stays() -> None:
    """Signs without an end blank nothing."""
    lines = ["# a", "", "```", *LINES, "a :: b", "  c", "::", "d `e"]
    assert blank_examples(lines) == lines
