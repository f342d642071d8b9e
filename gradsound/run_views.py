"""Public Run, which notebooks, TensorBoard and W&B display; read_run(), read_ranks()."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradsound.open_run import open_run
from gradsound.ranks.opened_ranks import open_ranks
from gradsound.rendering import notebook
from gradsound.runs import model
from gradsound.runs.log_choice import make_choice
from gradsound.summary.run_summary import summarize

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from gradsound.alarms.thresholds import Alarm


class Run(model.Run):
    """A run: its header and its steps.

    Attributes:
        header: Facts that are known before the first step.
        steps: The steps in ascending order. The steps of a file can be iterated repeatedly.
        name: The name of the run in messages and pictures.
        total_steps: How many steps the training made, if its run file says so: a budget
            left out the last ones. None otherwise.

    Example:
        >>> import numpy as np
        >>> import gradsound
        >>> header = gradsound.Header(layers=("conv", "fc"), parameters=(52, 510), start="")
        >>> norms, absent = np.array([0.75, 1.5], np.float32), np.zeros(2, bool)
        >>> run = gradsound.Run(header, [gradsound.Step(0, 0.0, norms, absent)])
        >>> run.select("fc").header.layers
        ('fc',)
    """

    __slots__ = ()

    def alarms(self) -> tuple[Alarm, ...]:
        """Returns all alarms and recoveries of the run, in the order of their steps.

        Raises:
            RunFormatError: If a line of the run file is not a step.

        Example:
            >>> import numpy as np
            >>> import gradsound
            >>> header = gradsound.Header(layers=("a", "fc"), parameters=(5, 5), start="")
            >>> norms, absent = np.array([0.5, np.nan], np.float32), np.zeros(2, bool)
            >>> run = gradsound.Run(header, [gradsound.Step(3, 1.5, norms, absent)])
            >>> [(alarm.step, alarm.kind, alarm.text) for alarm in run.alarms()]
            [(3, 'nonfinite', 'NaN in fc')]
        """
        return summarize(self).alarms

    def audio(self) -> Any:
        """Returns the sound as a ``wandb.Audio``: ``wandb.log({"sound": run.audio()})``.

        The sound has the default preset. A long run becomes a time-lapse of 20 s.

        Raises:
            ImportError: If wandb is not installed.
            ValueError: If the run has no steps.
            RunFormatError: If a line of the run file is not a step.
        """
        return notebook.to_wandb(self)

    def to_tensorboard(self, writer: Any, tag: str = "gradsound") -> None:
        """Adds the sound and the picture to a TensorBoard log, at the last step.

        The sound has the default preset, one channel and 16 bits, which TensorBoard
        requires. A long run becomes a time-lapse of 20 s.

        Args:
            writer: A ``SummaryWriter`` of ``torch.utils.tensorboard``.
            tag: Prefix of both entries: ``gradsound/sound`` and ``gradsound/picture``.

        Raises:
            MissingExtraError: If matplotlib is not installed.
            ValueError: If the run has no steps.
            RunFormatError: If a line of the run file is not a step.
        """
        notebook.to_tensorboard(self, writer, tag)

    def _repr_html_(self) -> str | None:
        """Returns a player and a picture for notebooks."""
        return notebook.run_html(self)


def read_run(
    path: str | Path,
    *parts: str | Path,
    norms: str | Iterable[str] | None = None,
    step: str | None = None,
    logging_steps: int | None = None,
) -> Run:
    r"""Opens a run file, or a finished run that another tool logged.

    Opening a run file reads only its header. Each iteration of ``run.steps`` reads the
    steps anew, in bounded memory. If the last line is torn because its writer was killed,
    the reader skips it with a warning.

    Args:
        path: A file in the format of docs/run-format.md, a log in a format of docs/logs.md
            (Hugging Face, TensorBoard, W&B, MLflow, Lightning, CSV), or a folder of these.
        *parts: More files of the same training, in order, if a resumed training wrote
            several. Where a part repeats steps of the parts before, its steps count.
        norms: A glob, or several, over the names in another tool's log, which select the
            norms. None finds the norms by their usual names.
        step: The name of the column of a table, or of the key of JSON lines, that has the
            step. None finds it by its usual names.
        logging_steps: Steps from one printed line to the next, 1 or more, where a console
            has no step, as that of Hugging Face's Trainer. None is 1.

    Returns:
        The run.

    Raises:
        OSError: If the file does not exist or cannot be read.
        RunFormatError: If it is not a run. The message names the file, the line and what
            was expected. Iterating the steps raises it too.
        ValueError: If ``norms``, ``step`` or ``logging_steps`` is given for a run file,
            which says itself what its norms and steps are; or is out of its range. Or the
            parts are certainly not one training in its order: they have different layers,
            one is there twice, or one belongs before another.

    Example:
        >>> from pathlib import Path
        >>> import gradsound
        >>> table = "step,grad_norm,loss\n0,1.5,0.75\n5,1.25,0.5\n"
        >>> _ = Path("metrics.csv").write_text(table)
        >>> run = gradsound.read_run("metrics.csv")
        >>> [(step.number, step.norms.tolist(), step.values) for step in run.steps]
        [(0, [1.5], {'loss': 0.75}), (5, [1.25], {'loss': 0.5})]
    """
    run = open_run(path, *parts, choice=make_choice(norms, step, logging_steps))
    return Run(run.header, run.steps, run.name, run.total_steps)


def read_ranks(paths: Iterable[str | Path]) -> Run:
    r"""Opens the run files of all ranks of one training as one run.

    The layers of the run are the ranks. The norm of a rank is that of its whole model, from
    its own batch. `gradsound.summarize`, `gradsound.render` and `gradsound.plot` show ranks
    that deviate, are late or have stopped. If the ranks are those of a pipeline, the run
    has the layers of all of them, in the order of the stages. Times and values are medians
    over the ranks.

    Args:
        paths: The files, which `gradsound.attach` wrote for each rank, in any order:
            run.rank0.jsonl, run.rank1.jsonl and so on.

    Returns:
        The run. Each iteration of ``run.steps`` reads the files anew, in bounded memory.

    Raises:
        OSError: If a file does not exist or cannot be read.
        RunFormatError: If a file is no run file. Iterating the steps raises it too.
        ValueError: If they are not the files of several ranks of one training: a name has
            no rank, a rank is there twice, trainings differ, or layers differ in part.

    Example:
        >>> from pathlib import Path
        >>> import gradsound
        >>> header = '{"format": "gradsound-run", "version": "1.2", "layers": ["fc"], '
        >>> header += '"parameters": [3]}\n'
        >>> for rank in range(2):
        ...     step = '{"step": 0, "time": 0.5, "norms": [%d]}\n' % (rank + 1)
        ...     _ = Path(f"run.rank{rank}.jsonl").write_text(header + step)
        >>> run = gradsound.read_ranks(Path().glob("run.rank*.jsonl"))
        >>> run.header.layers, [step.norms.tolist() for step in run.steps]
        (('rank 0', 'rank 1'), [[1.0, 2.0]])
    """
    run = open_ranks(paths)
    return Run(run.header, run.steps, run.name)
