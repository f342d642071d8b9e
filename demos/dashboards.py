"""Shows one run in TensorBoard, W&B, a matplotlib figure and a notebook.

Writes tensorboard/, wandb/ (offline), figure.png and run.html. A notebook shows run.html
if the run is the last line of a cell.
"""

from pathlib import Path

import torch
import wandb
from matplotlib.figure import Figure
from torch.utils.tensorboard import SummaryWriter

import gradsound

torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(8, 32), torch.nn.Tanh(), torch.nn.Linear(32, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
losses = []
with gradsound.attach(model, optimizer, log="recorded.jsonl") as attachment:
    for _ in range(50):
        x = torch.randn(16, 8)
        optimizer.zero_grad()
        loss = (model(x) - x.sum(dim=1, keepdim=True)).square().mean()
        loss.backward()
        attachment.log_values(loss=loss)
        optimizer.step()
        losses.append(loss.item())

run = gradsound.read_run("recorded.jsonl")
with SummaryWriter("tensorboard") as writer:
    run.to_tensorboard(writer)

with wandb.init(mode="offline", settings=wandb.Settings(silent=True)) as logging:
    logging.log({"sound": run.audio()})

figure = Figure(figsize=(10, 4), layout="constrained")
left, right = figure.subplots(1, 2)
left.plot(losses)
left.set(xlabel="optimizer step", ylabel="loss")
gradsound.plot(run, ax=right)
figure.savefig("figure.png")

Path("run.html").write_text(f"<!doctype html><meta charset=utf-8>{run._repr_html_()}")
print("50 steps: see tensorboard --logdir tensorboard, wandb/, figure.png and run.html")
