"""Records DistributedDataParallel: torchrun --nproc-per-node=2 demos/torchrun_ddp.py.

Rank 0 writes ddp.jsonl and ddp.wav from the gradients that all ranks apply.
"""

import time

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

import gradsound

dist.init_process_group("gloo")
rank = dist.get_rank()
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(8, 32), torch.nn.Tanh(), torch.nn.Linear(32, 1))
model = DistributedDataParallel(model)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
torch.manual_seed(rank)  # each rank draws its own batches
with gradsound.attach(model, optimizer, log="ddp.jsonl", wav="ddp.wav") as attachment:
    for _ in range(50):
        x = torch.randn(16, 8)
        optimizer.zero_grad()
        loss = (model(x) - x.sum(dim=1, keepdim=True)).square().mean()
        loss.backward()
        attachment.log_values(loss=loss)
        optimizer.step()

if rank == 0:
    *_, last = gradsound.read_run("ddp.jsonl").steps
    print(f"{last.number + 1} steps of {dist.get_world_size()} processes: hear ddp.wav")
dist.destroy_process_group()
time.sleep(0.5)  # lets gloo's threads end; torch may abort the process without it
