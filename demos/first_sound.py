"""The shortest demo: trains a small model and writes its sound to first_sound.wav."""

import torch

import gradsound

torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(8, 32), torch.nn.Tanh(), torch.nn.Linear(32, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
with gradsound.attach(model, optimizer, wav="first_sound.wav"):
    for _ in range(50):
        x = torch.randn(16, 8)
        optimizer.zero_grad()
        (model(x) - x.sum(dim=1, keepdim=True)).square().mean().backward()
        optimizer.step()
