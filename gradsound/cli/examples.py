"""Examples and exit codes at the end of each command's help; tests run every example."""

from __future__ import annotations

EXIT_CODES = """\
exit status:
  0    success; also if the reader of the output, such as head, stops early
  1    a defect of gradsound, with a traceback: please report it
  2    an input or an output is wrong; one line on standard error names it
  3    watch: an alarm of --until came
  130  interrupted by Ctrl-C
  143  ended by SIGTERM"""

_LINES = {
    "": """\
  gradsound run train.py
  gradsound render run.jsonl -o run.wav
  gradsound render --help""",
    "run": """\
  gradsound run --web train.py --epochs 3
  gradsound run --wav train.wav -m package.train
  torchrun --nproc-per-node 2 -m gradsound run train.py""",
    "attach": """\
  gradsound attach $(pgrep -nf train.py)
  gradsound attach --web 4242
  gradsound attach --all $(pgrep -f torchrun)""",
    "detach": """\
  gradsound detach $(pgrep -nf train.py)
  gradsound detach --all $(pgrep -f torchrun)""",
    "demo": """\
  gradsound demo -o demo.wav
  gradsound demo --web""",
    "render": """\
  gradsound render run.jsonl -o minute.flac --duration 1:00 --preset chord
  gradsound render run.jsonl other.jsonl -o both.ogg --layers '*'
  gradsound render run.jsonl -o run.html --title 'SGD, rate 1.0'""",
    "play": """\
  gradsound play run.jsonl --speed 2
  gradsound play --follow run.jsonl
  tail -n +1 -f run.jsonl | gradsound play --follow -""",
    "serve": """\
  gradsound serve run.jsonl
  gradsound serve run.jsonl --follow --port 8080""",
    "watch": """\
  gradsound watch run.jsonl --json
  gradsound watch run.jsonl --follow --until nonfinite,loss
  gradsound watch run.jsonl --exec 'sh -c "echo \\"$GRADSOUND_TEXT\\" >>alarms.txt"'""",
    "devices": """\
  gradsound devices
  gradsound devices | grep '^\\*'""",
    "voices": """\
  gradsound voices bell
  gradsound voices bell -o bell.wav
  gradsound voices bell --emit aarch64 -o bell.o""",
    "plot": """\
  gradsound plot run.jsonl -o run.png
  gradsound plot run.jsonl other.jsonl -o both.pdf --duration 1:00
  gradsound plot *.jsonl -o sweep.svg""",
    "legend": """\
  gradsound legend run.jsonl -o legend.wav
  gradsound legend run.jsonl -o chord.ogg --preset chord""",
    "locate": """\
  gradsound locate run.jsonl 0:01
  gradsound locate run.jsonl --step 3 --speed 2
  gradsound render run.jsonl -o run.wav && gradsound locate run.wav 0:01""",
    "info": """\
  gradsound info run.jsonl
  gradsound info *.jsonl
  cat run.jsonl | gradsound info --json - | python3 -m json.tool""",
    "list": """\
  gradsound list
  gradsound list . --alarms
  gradsound list --json | python3 -m json.tool""",
    "completion": """\
  source <(gradsound completion bash)
  gradsound completion zsh > _gradsound
  gradsound completion fish > gradsound.fish""",
}
EXAMPLES = {command: f"examples:\n{lines}" for command, lines in _LINES.items()}
