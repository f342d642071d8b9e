"""Records a loop with Accelerate: writes accelerate.jsonl and accelerate.wav."""

import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader

import gradsound

torch.manual_seed(0)
accelerator = Accelerator(cpu=True, gradient_accumulation_steps=2)
model = torch.nn.Sequential(torch.nn.Linear(8, 32), torch.nn.Tanh(), torch.nn.Linear(32, 1))
model, optimizer, loader = accelerator.prepare(
    model,
    torch.optim.SGD(model.parameters(), lr=0.05),
    DataLoader(torch.randn(1024, 8), batch_size=16),
)
files = {"log": "accelerate.jsonl", "wav": "accelerate.wav"}
with gradsound.attach(model, optimizer, **files) as attachment:
    for x in loader:
        with accelerator.accumulate(model):
            loss = (model(x) - x.sum(dim=1, keepdim=True)).square().mean()
            accelerator.backward(loss)
            if accelerator.sync_gradients:
                accelerator.clip_grad_norm_(model.parameters(), 1.0)
                attachment.log_values(loss=loss)
            optimizer.step()
            optimizer.zero_grad()

*_, last = gradsound.read_run("accelerate.jsonl").steps
print(f"{last.number + 1} steps, last loss {last.values['loss']:.3f}: hear accelerate.wav")
