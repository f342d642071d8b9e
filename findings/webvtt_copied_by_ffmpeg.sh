#!/usr/bin/env bash
# Tool: ffmpeg 7.0.2 (imageio-ffmpeg 0.6.0), 2026-11-29.
#
# Guess: ffmpeg reads a WebVTT file and writes it as WebVTT again, so the text of a caption
# stays what it was. In WebVTT, a backslash and a brace are characters like any other.
#
# What happens: ffmpeg keeps text as ASS, in which they are commands. A backslash before an
# N or an n becomes a line break and takes the letter along. A brace gets a backslash. So
# "C:\Nets\run" is cut in two, and a player that reads WebVTT through ffmpeg shows it so.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet imageio-ffmpeg==0.6.0
ffmpeg=$("$folder/env/bin/python" -c "import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())")

printf 'WEBVTT\n\n00:01.000 --> 00:02.000\nC:\\Nets\\run, layers {0,1}\n' > "$folder/in.vtt"
"$ffmpeg" -v error -i "$folder/in.vtt" "$folder/out.vtt"

"$ffmpeg" -version | head -n 1
echo "--- in"
tail -n +4 "$folder/in.vtt"
echo "--- out"
tail -n +4 "$folder/out.vtt"

printf 'C:\nets\\run, layers \\{0,1\\}\n' > "$folder/expected"
if ! tail -n +4 "$folder/out.vtt" | cmp -s - "$folder/expected"; then
  echo "CHANGED: ffmpeg writes something else now" >&2
  exit 1
fi
echo "as found: the copy has another text"
