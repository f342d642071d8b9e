#!/usr/bin/env bash
# Tool: DeepSpeed 0.19.8, torch 2.13.0 (CPU), 2026-11-30. Needs g++: DeepSpeed compiles an
# operator.
#
# Guess: with float16, the optimizer divides the gradients by the loss scale by which the
# engine multiplied the loss. So plain SGD applies the same gradient at any loss scale.
#
# What happens: ZeRO 1, 2 and 3 update the loss scale before they divide. In the step in
# which the scale doubles (every 1000th by default), they apply half of the gradient. With
# ZeRO 0, the engine does not multiply the loss at all, but the optimizer divides: it applies
# the gradient divided by the loss scale, 65536 at the start.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip=("$folder/venv/bin/pip" --quiet --disable-pip-version-check install)
"${pip[@]}" numpy torch==2.13.0+cpu || "${pip[@]}" numpy torch==2.13.0
"${pip[@]}" deepspeed==0.19.8 ninja setuptools
# Elsewhere, the lock of a build that was killed would be waited for.
export TORCH_EXTENSIONS_DIR="$folder/extensions"

cat > "$folder/scales.py" <<'PYTHON'
import deepspeed
import torch
from torch import nn

deepspeed.init_distributed("gloo")


def ratios(stage):
    """Returns the change of a weight at each step, divided by its gradient."""
    torch.manual_seed(0)
    model = nn.Linear(8, 3, bias=False)
    true = model.weight.detach().clone().requires_grad_()
    config = {
        "train_micro_batch_size_per_gpu": 4,
        "gradient_clipping": 0.0,
        "zero_allow_untested_optimizer": True,
        "zero_optimization": {"stage": stage},
        "fp16": {"enabled": True, "initial_scale_power": 8, "loss_scale_window": 2},
    }
    optimizer = torch.optim.SGD(model.parameters(), lr=1)
    engine, *_ = deepspeed.initialize(model=model, optimizer=optimizer, config=config)
    found = []
    for _ in range(4):
        x = torch.randn(4, 8, dtype=torch.float16)
        (gradient,) = torch.autograd.grad((x @ true.half().T).float().square().mean(), true)
        engine.backward(engine(x).float().square().mean())
        before = weight(engine)
        engine.step()
        found.append(round(((before - weight(engine)).norm() / gradient.norm()).item(), 3))
        with torch.no_grad():
            true.copy_(weight(engine))
    return found


def weight(engine):
    """Returns the float32 weight that DeepSpeed keeps."""
    if hasattr(engine.optimizer, "fp32_groups"):
        return engine.optimizer.fp32_groups[0][0].detach().clone()
    (parameter,) = engine.module.parameters()
    return deepspeed.utils.safe_get_full_fp32_param(parameter).reshape(3, 8).clone()


for stage in range(4):
    print("ZeRO", stage, ratios(stage), flush=True)
PYTHON
export DS_ACCELERATOR=cpu MASTER_ADDR=127.0.0.1 MASTER_PORT=29500
export RANK=0 LOCAL_RANK=0 WORLD_SIZE=1 PATH="$folder/venv/bin:$PATH"
"$folder/venv/bin/python" "$folder/scales.py" 2>"$folder/errors" | grep ^ZeRO \
  | tee "$folder/output" || cat "$folder/errors" >&2

expected="ZeRO 0 [0.004, 0.004, 0.002, 0.002]
ZeRO 1 [1.0, 1.0, 0.5, 1.0]
ZeRO 2 [1.0, 1.0, 0.5, 1.0]
ZeRO 3 [1.0, 1.0, 0.5, 1.0]"
if [ "$(cat "$folder/output")" != "$expected" ]; then
  echo "CHANGED: DeepSpeed applies another share of the gradient" >&2
  exit 1
fi
echo "as found: half of the gradient when the loss scale doubles, nearly none with ZeRO 0"
