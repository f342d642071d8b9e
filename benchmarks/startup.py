"""Measures how long the import of gradsound takes in addition to that of numpy.

Each line is the median over fresh interpreters, which take turns. The control measures the
import of the first line a second time.

    python benchmarks/startup.py
"""

import platform
import statistics
import subprocess
import sys
import time

ROUNDS = 21
CASES = {
    "import numpy": "import numpy",
    "import numpy (control)": "import numpy",
    "import numpy, gradsound": "import numpy, gradsound",
    "import numpy, gradsound, soundfile": "import numpy, gradsound, soundfile",
}


def main() -> None:
    """Prints the table."""
    seconds: dict[str, list[float]] = {case: [] for case in CASES}
    for _ in range(ROUNDS):
        for case, code in CASES.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            seconds[case].append(time.perf_counter() - start)
    bare = statistics.median(seconds["import numpy"])
    print(f"{platform.machine()}, Python {platform.python_version()}, {ROUNDS} rounds")
    for case, measured in seconds.items():
        median = statistics.median(measured)
        print(f"{case:36} {median * 1e3:6.0f} ms  {(median - bare) * 1e3:+6.0f} ms")


if __name__ == "__main__":
    main()
