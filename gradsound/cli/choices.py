"""What options offer, for help texts and completion, which load no module that needs numpy.

Loading numpy takes most of the time in which a command starts. So these are the names of
presets, voices, scales, latencies and targets alone.
"""

PRESETS = ("notes", "chord", "scan", "ambient", "alarms", "perone2019")
VOICES = ("sine", "soft", "organ", "bell", "saw", "square", "pluck", "hiss", "growl")
SCALES = ("any", "chromatic", "major", "minor", "pentatonic")
LATENCIES = ("low", "safe", "high")
TARGETS = ("aarch64", "riscv64", "wasm32", "x86_64")  # of native code
SHELLS = ("bash", "zsh", "fish")
TOP = 10  # layers in the table of info: as many as a screen has
