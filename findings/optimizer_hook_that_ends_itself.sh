#!/usr/bin/env bash
# Tool: torch 2.13.0 (CPU), 2026-11-30.
#
# Guess: a hook may remove itself while it runs, as one that is needed once does. Hooks of
# modules and of parameters may, and the other hooks are still called. So the hooks of an
# optimizer's step behave alike.
#
# What happens: if another hook comes after it, `step()` raises "OrderedDict mutated during
# iteration", and the optimizer does not step. If the hook is the last one, nothing happens.
# So a library's hook works until a user adds one. A hook that the garbage collector removes
# at that moment does the same harm.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install numpy torch==2.13.0+cpu \
  || "$folder/venv/bin/pip" --quiet --disable-pip-version-check install numpy torch==2.13.0

cat > "$folder/hooks.py" <<'PYTHON'
import torch

print("torch", torch.__version__)


def call(register, run):
    """Registers a hook that ends itself, and maybe one after it; returns what is called."""
    results = []
    for with_later in (False, True):
        called, handles = [], []

        def once(*_):
            called.append("once")
            handles[0].remove()

        def later(*_):
            called.append("later")

        handles.append(register(once))
        if with_later:
            handles.append(register(later))
        try:
            run()
        except RuntimeError as error:
            called.append(str(error))
        for handle in handles:
            handle.remove()
        results.append(called)
    return results


model = torch.nn.Linear(2, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
x = torch.ones(1, 2)
print("module   ", call(model.register_forward_hook, lambda: model(x)))
register = model.weight.register_post_accumulate_grad_hook
print("parameter", call(register, lambda: model(x).sum().backward()))
print("optimizer", call(optimizer.register_step_pre_hook, optimizer.step))
PYTHON
"$folder/venv/bin/python" "$folder/hooks.py" | tee "$folder/output"

expected="module    [['once'], ['once', 'later']]
parameter [['once'], ['once', 'later']]
optimizer [['once'], ['once', 'OrderedDict mutated during iteration']]"
if [ "$(tail -n 3 "$folder/output")" != "$expected" ]; then
  echo "CHANGED: torch calls the hooks otherwise" >&2
  exit 1
fi
echo "as found: step() fails if a hook ends itself before another one"
