"""How long until something happens: `import minidl`, the first convolution in a new process, and a CNN's first step.

    python benchmarks/startup.py [--repeat 9]

Prints medians over fresh processes: the import of minidl after NumPy's, beside the import of NumPy itself; and the
first convolution and the first step (convolution, batch norm, pooling; forward and backward), with an empty and with a
filled cache of kernels. numba imports SciPy where it is installed, which takes 0.1 s more.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile

IMPORT = """
import time
start = time.perf_counter()
import numpy
middle = time.perf_counter()
import minidl
print(middle - start, time.perf_counter() - middle)
"""
CONVOLUTION = """
import time
import minidl
x, w = minidl.randn(32, 1, 8, 8), minidl.randn(16, 1, 3, 3)
start = time.perf_counter()
minidl.conv2d(x, w, padding=1)
print(time.perf_counter() - start)
"""
STEP = """
import time
import minidl
from minidl import models, nn
x, y = minidl.randn(32, 1, 8, 8), minidl.Tensor([k % 10 for k in range(32)])
model = models.cnn((1, 8, 8), 10)
start = time.perf_counter()
nn.CrossEntropyLoss()(model(x), y).backward()
print(time.perf_counter() - start)
"""


def run(code: str, **environment: str) -> list[float]:
    """The numbers that a fresh process prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "", **environment},  # as users have it: .pyc files are kept
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [float(number) for number in done.stdout.split()]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--repeat", type=int, default=9)
    repeat = arguments.parse_args().repeat
    run(IMPORT)  # compiles the .pyc files
    numpy, minidl = (statistics.median(times) for times in zip(*(run(IMPORT) for _ in range(repeat)), strict=True))
    print(f"import: numpy {1e3 * numpy:.0f} ms, then minidl {1e3 * minidl:.0f} ms (medians of {repeat})")
    for name, code in ("first convolution", CONVOLUTION), ("first step of a CNN", STEP):
        cold, warm = [], []
        for _ in range(max(1, repeat // 3)):
            with tempfile.TemporaryDirectory() as cache:
                cold += run(code, NUMBA_CACHE_DIR=cache)
                warm += [run(code, NUMBA_CACHE_DIR=cache)[0] for _ in range(3)]
        print(f"{name}: cold {statistics.median(cold):.1f} s, warm {statistics.median(warm):.2f} s")


if __name__ == "__main__":
    main()
