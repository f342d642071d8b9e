#!/usr/bin/env bash
# Tool: numpy 2.4.6 (modules built by Cython), 2026-11-30.
#
# Guess: Ctrl-C while Python imports a module raises KeyboardInterrupt out of the import, and
# a handler of SIGTERM that raises SystemExit ends the process. Only destructors and
# callbacks of C drop an exception, and Python prints that ("Exception ignored in").
#
# What happens: `import numpy.random` succeeds, and the exception is gone without a word. Each
# Cython module with typed memory views registers a class with `collections.abc.Sequence`
# when it is imported, and drops every exception of that call. The window is short, but
# `numpy.random` is imported late, at its first use, so a process that is terminated around
# that moment may go on.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install numpy==2.4.6

cat > "$folder/interrupt.py" <<'PYTHON'
import os
import signal
import sys

import numpy

wanted, calls = int(sys.argv[1]), 0


def interrupt(frame, event, _):
    """Sends Ctrl-C while a class is registered with an abstract one."""
    global calls
    code = frame.f_code
    if event == "call" and (code.co_name, code.co_filename) == ("register", "<frozen abc>"):
        calls += 1
        if calls == wanted:
            os.kill(os.getpid(), signal.SIGINT)


sys.setprofile(interrupt)
try:
    import numpy.random

    outcome = "the import succeeded"
except KeyboardInterrupt:
    outcome = "KeyboardInterrupt"
sys.setprofile(None)
print(f"numpy {numpy.__version__}: Ctrl-C at registration {wanted}: {outcome}")
PYTHON
for registration in 1 2 3 4; do
  "$folder/venv/bin/python" "$folder/interrupt.py" "$registration"
done | tee "$folder/output"

if ! grep -q "the import succeeded" "$folder/output"; then
  echo "CHANGED: no registration drops Ctrl-C any more" >&2
  exit 1
fi
echo "as found: a Ctrl-C that comes while numpy.random is imported can be lost"
