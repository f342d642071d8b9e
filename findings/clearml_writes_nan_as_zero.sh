#!/usr/bin/env bash
# Tool: clearml 2.1.12, 2026-11-30.
#
# Guess: ClearML writes a norm that is NaN or infinity to an offline run as Python's JSON does
# (NaN, Infinity), or as a text. So a reader can tell it from a norm of 0.
#
# What happens: ClearML writes 0.0 for NaN and for both infinities, and prints a warning. In
# the file, an exploded gradient looks like a dead layer.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet clearml==2.1.12

cat > "$folder/train.py" <<'PYTHON'
from clearml import Task

Task.set_offline(True)
task = Task.init("project", "run", auto_connect_frameworks=False,
                 auto_resource_monitoring=False)
for step, norm in enumerate((0.5, float("nan"), float("inf"), float("-inf"))):
    task.get_logger().report_scalar("grad_norm", "fc1", norm, step)
task.close()
PYTHON
export HOME=$folder CLEARML_CACHE_DIR=$folder/cache
"$folder/env/bin/python" "$folder/train.py" > "$folder/console" 2>&1

values=$("$folder/env/bin/python" - "$folder"/cache/offline/*/metrics.jsonl <<'PYTHON'
import json
import sys

print([event["value"] for line in open(sys.argv[1]) for event in json.loads(line)])
PYTHON
)
grep -o "NaN value encountered.*" "$folder/console"
echo "--- in"
echo "[0.5, nan, inf, -inf]"
echo "--- out"
echo "$values"

if [ "$values" != "[0.5, 0.0, 0.0, 0.0]" ]; then
  echo "CHANGED: ClearML writes something else now" >&2
  exit 1
fi
echo "as found: NaN and infinity are 0"
