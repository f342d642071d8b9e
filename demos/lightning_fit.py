"""Records a Lightning fit: writes lightning.jsonl and lightning.wav."""

import lightning
import torch
from torch.utils.data import DataLoader, TensorDataset

import gradsound
from gradsound import LightningCallback


class Fit(lightning.LightningModule):
    """Two layers that learn to add 8 numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = torch.nn.Linear(8, 32)
        self.out = torch.nn.Linear(32, 1)

    def training_step(self, batch: list[torch.Tensor], _: int) -> torch.Tensor:
        """Returns the loss of a batch."""
        x, y = batch
        return (self.out(self.hidden(x).tanh()) - y).square().mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Returns the optimizer."""
        return torch.optim.SGD(self.parameters(), lr=0.05)


lightning.seed_everything(0, verbose=False)
x = torch.randn(512, 8)
trainer = lightning.Trainer(
    max_epochs=2,
    accelerator="cpu",
    gradient_clip_val=1.0,
    callbacks=[LightningCallback(log="lightning.jsonl", wav="lightning.wav")],
    logger=False,
    enable_checkpointing=False,
    enable_progress_bar=False,
    enable_model_summary=False,
)
trainer.fit(Fit(), DataLoader(TensorDataset(x, x.sum(dim=1, keepdim=True)), batch_size=16))

*_, last = gradsound.read_run("lightning.jsonl").steps
print(f"{last.number + 1} steps, last loss {last.values['loss']:.3f}: hear lightning.wav")
