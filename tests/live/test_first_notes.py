"""The first notes of a voice: a block with them takes no longer than another."""

import subprocess
import sys

PLAYBACK = """
import sys
import numpy as np
import gradsound
from gradsound.live.device_playback import DevicePlayback
from gradsound.music import equal_loudness
from gradsound.runs.model import Header, Run
from gradsound.runs.step import Step

late = []
evaluate = equal_loudness.evaluate

def evaluate_early(program, inputs):
    if device.modules:
        late.append("the loudness of a voice")
    return evaluate(program, inputs)

equal_loudness.evaluate = evaluate_early

class SilentDevice:
    name, frames, modules = "silent", 512, frozenset()
    def wait_for_request(self, seconds):
        return True
    def write(self, samples):
        self.modules = self.modules or frozenset(sys.modules)
    def close(self):
        late.extend(name for name in {*sys.modules} - self.modules if "numpy" in name)

device = SilentDevice()
norms = [[1.0, 2.0], [np.nan, 3.0], [0.1, np.inf], [5.0, 0.0]]
present = np.zeros(2, bool)
steps = [Step(k, 0.1 * k, np.array(n, np.float32), present) for k, n in enumerate(norms)]
run = Run(Header(layers=("conv", "fc"), parameters=(1, 1), start=""), steps)
preset = gradsound.PRESETS["notes"]
DevicePlayback(run, preset, device, 44_100, live=False).play()
print(len(device.modules) > 0, late)
"""


def test_nothing_is_measured_or_imported_after_the_first_block() -> None:
    """After its first block, a playback measures no voice and imports no part of numpy."""
    process = subprocess.run(
        [sys.executable, "-c", PLAYBACK], capture_output=True, text=True, check=True
    )

    assert process.stdout == "True []\n"
