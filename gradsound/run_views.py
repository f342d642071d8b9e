"""The public run: data that also shows itself in a notebook, TensorBoard and W&B."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradsound.open_run import open_run
from gradsound.rendering import notebook
from gradsound.runs import model

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class Run(model.Run):
    """A run: its header and its steps.

    Attributes:
        header: What is known before the first step.
        steps: The steps in order. Those of a file can be iterated as often as wanted.
        name: The name of the run in messages and pictures.
    """

    __slots__ = ()

    def audio(self) -> Any:
        """Returns the sound as a ``wandb.Audio``: ``wandb.log({"sound": run.audio()})``.

        The sound has the default preset; a long run becomes a time-lapse of 20 s.

        Raises:
            ImportError: If wandb is not installed.
            ValueError: If the run has no steps.
            RunFormatError: If a line of it is not a step.
        """
        return notebook.to_wandb(self)

    def to_tensorboard(self, writer: Any, tag: str = "gradsound") -> None:
        """Adds the sound and the picture to a TensorBoard log, at the last step.

        The sound has the default preset, one channel and 16 bits, which TensorBoard
        requires; a long run becomes a time-lapse of 20 s.

        Args:
            writer: A ``SummaryWriter`` of ``torch.utils.tensorboard``.
            tag: Prefix of both entries: ``gradsound/sound`` and ``gradsound/picture``.

        Raises:
            MissingExtraError: If matplotlib is not installed.
            ValueError: If the run has no steps.
            RunFormatError: If a line of it is not a step.
        """
        notebook.to_tensorboard(self, writer, tag)

    def _repr_html_(self) -> str | None:
        """A player and a picture, for notebooks."""
        return notebook.run_html(self)


def read_run(path: str | Path, *, norms: str | Iterable[str] | None = None) -> Run:
    """Opens a run file, or a finished run that another tool logged.

    Opening a run file reads only its header. Each iteration of ``run.steps`` reads the
    steps anew, in bounded memory. A torn last line (its writer was killed) is skipped with
    a warning.

    Args:
        path: A file in the format of docs/run-format.md, or one of those in docs/logs.md
            (Hugging Face, TensorBoard, W&B, MLflow, Lightning, CSV), or a folder of these.
        norms: A glob, or several, over the names in another tool's log: which of them are
            norms. None finds the norms by their names.

    Returns:
        The run.

    Raises:
        OSError: If the file does not exist or cannot be read.
        RunFormatError: If it is not a run; the message names the file, the line and what
            was expected. Iterating the steps raises it too.
        ValueError: If ``norms`` is given for a run file, which names its norms itself.
    """
    run = open_run(path, norms=norms)
    return Run(run.header, run.steps, run.name)
