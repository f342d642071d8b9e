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
# Its FSDP2 and its pipelines do not train on a CPU; it does not compile clipping.
declare -A left_out=(['==2.6.*']="(test_sharded and not parallel) or test_pipelines
  or test_a_pipeline
  or test_rank_0_alone_records_values or test_a_rank_that_attaches_alone
  or test_a_rank_that_closes_alone or test_a_rank_that_fails_to_measure
  or test_compiled_clipping_has_as_many_graphs")
failed=0
for release in "$@"; do
  number=${release#==}
  folder=build/torches/${number:-newest}
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
  without=${left_out[${release:-newest}]:-nothing_else}  # bash allows no empty key
  # The other tests of hooks need packages that ask for one torch.
  "$python" -m pytest -m "not realtime" -p no:cacheprovider --quiet --tb=short \
    -k "not (${without//$'\n'/ })" \
    --ignore tests/measure/hooks/test_optimizer_wrappers.py \
    --ignore tests/measure/hooks/test_closure.py \
    --ignore tests/measure/test_keras_variables.py \
    tests/measure tests/script/test_found_trainings.py tests/test_api.py \
    tests/test_on_alarm.py tests/test_resume.py || failed=1
done
exit $failed
