#!/usr/bin/env bash
# Runs the tests of the torch side by several releases of torch, each in an environment of
# its own under build/torches: by default the oldest that gradsound supports, that of
# constraints.txt, and the newest. A release for CUDA takes 5 GB.
#
#     tests/torches.sh                 # all three
#     tests/torches.sh '==2.6.*' ''    # the oldest, and the newest
set -euo pipefail
cd "$(dirname "$0")/.."
pinned=$(grep -m1 -o '^torch==[^ ;]*' constraints.txt)
[ $# -gt 0 ] || set -- '==2.6.*' "${pinned#torch}" ''
export PYTHONPATH=$PWD PYTHONDONTWRITEBYTECODE=1
# These tell what a later release does.
declare -A left_out=(['==2.6.*']="--deselect
  tests/measure/hooks/test_clipping.py::test_compiled_clipping_has_as_many_graphs")
failed=0
for release in "$@"; do
  folder=build/torches/torch${release//[^0-9.]/}
  python=$folder/bin/python
  if [ ! -e "$folder/made" ]; then
    rm -rf "$folder"
    "${PYTHON:-python3}" -m venv "$folder"
    pip=("$python" -m pip --disable-pip-version-check install --quiet)
    "${pip[@]}" "torch$release"
    # A release of torch pins what it needs itself.
    grep -Ev '^(torch|sympy)' constraints.txt >"$folder/constraints.txt"
    "${pip[@]}" --constraint "$folder/constraints.txt" \
      hypothesis llvmlite numpy pytest soundfile websockets
    touch "$folder/made"
  fi
  "$python" -c 'import platform, torch
print(f"torch {torch.__version__}, Python {platform.python_version()}:", flush=True)'
  # The other tests of hooks need packages that ask for one torch.
  # shellcheck disable=SC2086 # a word each
  "$python" -m pytest -m "not realtime" -p no:cacheprovider --quiet --tb=short \
    --ignore tests/measure/hooks/test_optimizer_wrappers.py \
    --ignore tests/measure/hooks/test_closure.py \
    --ignore tests/measure/test_keras_variables.py \
    ${left_out[$release]-} \
    tests/measure tests/script/test_found_trainings.py tests/test_api.py \
    tests/test_resume.py || failed=1
done
exit $failed
