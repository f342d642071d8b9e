"""Makes torchvision importable where its build does not fit torch's: two names suffice."""

from __future__ import annotations

import subprocess
import sys

import torch

_command = [sys.executable, "-c", "import torchvision"]
if subprocess.run(_command, capture_output=True, check=False).returncode:
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou) -> Tensor")
