#!/usr/bin/env bash
# Runs tests by the Python and the torch of Debian's next release, and those of the sound by
# a later Python that has no torch yet. They run in a folder that has this Debian:
# build/newest, of 2 GB, made once. Needs root, and 15 minutes the first time.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD/build/newest
if [ "$(id -u)" != 0 ]; then
  echo "make newest needs root, for debootstrap and chroot: sudo make newest" >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8

# The mounts are in a namespace of their own: they end with this shell, and `make clean`
# can never reach the checkout through them.
in_root() {
  unshare --mount --propagation private bash -euc '
    root=$0
    mount --bind /proc "$root/proc"
    mount --rbind /dev "$root/dev"
    mkdir -p "$root/checkout"
    mount --bind . "$root/checkout"
    exec chroot "$root" "$@"' "$root" "$@"
}

if [ ! -e "$root/made" ]; then
  command -v debootstrap >/dev/null || apt-get install -y -qq --no-install-recommends \
    debootstrap debian-archive-keyring
  rm -rf "$root"
  mkdir -p "$root"
  # An older debootstrap does not know the suite by name, but all suites have one script.
  debootstrap --variant=minbase --include=ca-certificates forky "$root" "" \
    /usr/share/debootstrap/scripts/sid >/dev/null
  # A mirror that is kept at a date has lists that are out of date; apt still checks who
  # signed them.
  echo 'Acquire::Check-Valid-Until "false";' >"$root/etc/apt/apt.conf.d/99kept"
  touch "$root/made"
fi
packages="procps python3 python3-hypothesis python3-llvmlite python3-numpy python3-orjson
  python3-pyaudio python3-pytest python3-soundfile python3-torch python3-websockets
  python3.15"
if [ "$(cat "$root/packages" 2>/dev/null)" != "$packages" ]; then
  in_root apt-get update -qq
  # shellcheck disable=SC2086 # a word each
  in_root apt-get install -y -qq --no-install-recommends $packages >/dev/null
  in_root apt-get clean
  echo "$packages" >"$root/packages"
fi
run_tests() {
  in_root env USE_LIBUV=0 PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=/checkout sh -c \
    'cd /checkout && exec "$@" -p no:cacheprovider -m "not realtime"' sh "$@"
}

tests=("$@")
if [ ${#tests[@]} = 0 ]; then
  tests=(tests/newest tests/remote tests/script/test_found_trainings.py
    tests/script/test_program.py tests/measure tests/runs tests/synth tests/test_api.py
    tests/test_resume.py)
fi
# Debian has neither accelerate, keras, optimizers of other packages, nor this zstandard. It
# builds torch without libuv, which `torchrun --standalone` demands, whatever USE_LIBUV says.
left_out=(--ignore tests/measure/hooks/test_optimizer_wrappers.py
  --ignore tests/measure/hooks/test_closure.py
  --ignore tests/measure/test_keras_variables.py
  --ignore tests/runs/test_compressed_file.py
  --ignore tests/measure/distributed/test_distributed.py
  --ignore tests/measure/distributed/test_reduction_wait.py
  --deselect tests/measure/test_logged_values.py::test_rank_0_alone_records_values
  # The package is not installed there, so there is no command of this name.
  --deselect "tests/script/test_program.py::test_ctrl_c_ends_a_script_as_under_python[words1]"
  # This torch trains in no process forked from a training; the other has a PYTHONPATH.
  --deselect tests/script/test_found_trainings.py::test_forked_and_spawned_processes_are_not_attached
  --deselect tests/runs/test_restarts.py::test_of_ten_that_resume_at_once_one_goes_on)
run_tests python3 -m pytest "${left_out[@]}" "${tests[@]}"
[ $# = 0 ] || exit 0
# No torch and no cffi are built for it yet; these need one of them, or are left out above.
without=()
for name in music/test_{alarm_announcer,articulation,equal_loudness,fit_duration,value_mapping} \
  output/midi/test_midi_file output/test_{sound_file,wav_markers,webvtt} runs/test_{compare,compressed_file} \
  synth/kernels/test_kernels synth/voices/test_voices; do
  without+=(--ignore "tests/$name.py")
done
without+=(--deselect
  tests/music/test_layer_groups.py::test_the_layers_of_a_torch_encoder_are_in_the_expected_bands)
for name in two_trainings_do_not_write_one_file of_ten_that_resume_at_once_one_goes_on; do
  without+=(--deselect "tests/runs/test_restarts.py::test_$name")
done
run_tests python3.15 -m pytest "${without[@]}" tests/alarms tests/music tests/output \
  tests/runs tests/synth
