"""What a callback hears: the optimizers of a training, from its beginning to its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradsound.api import attach
from gradsound.integrations.options import checked, of_optimizer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn
    from torch.amp import GradScaler
    from torch.optim import Optimizer

    from gradsound.attachment import Attachment


class Hearing:
    """Attaches to each optimizer of a training, until that ends.

    A copy, pickled or not, has the options, and hears nothing.

    Args:
        web: As for `gradsound.listen`.
        options: As for `gradsound.attach`.

    Raises:
        As `gradsound.integrations.options.checked`.
    """

    def __init__(self, web: bool | int, options: dict[str, Any]) -> None:
        self._options = checked(web, options)
        self._attachments: dict[int, Attachment] = {}  # by the id of their optimizer

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_attachments": {}}

    def begin(
        self,
        model: nn.Module,
        optimizers: Sequence[Optimizer | None],
        scaler: GradScaler | None = None,
    ) -> None:
        """Attaches, after an end to what may be left of a training that failed.

        Of several optimizers each has its files (run.optimizer1.jsonl), and the first is
        what is heard live; None is whichever steps.

        Raises:
            As `gradsound.attach`.
        """
        self.end()
        for index, optimizer in enumerate(optimizers):
            options = self._options
            if len(optimizers) > 1:
                options = of_optimizer(index, options)
            self._attachments[id(optimizer)] = attach(
                model, optimizer, scaler=scaler, **options
            )

    def note(self, optimizer: Optimizer, **values: object) -> None:
        """Records values with the next step of an optimizer."""
        if (attachment := self._attachments.get(id(optimizer))) is not None:
            attachment.note(**values)

    def end(self) -> None:
        """Finishes every file. A second call does nothing."""
        while self._attachments:
            self._attachments.popitem()[1].close()
