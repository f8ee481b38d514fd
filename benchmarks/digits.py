"""The main job, measured: `minidl train` on ten seeds, and once from a cold start (no compiled kernels).

    python benchmarks/digits.py [--seeds 10]

Prints the test accuracy of every seed, the worst and the mean, and the seconds each run took from the start of the
process to its end. The first run has an empty cache of compiled kernels, the others find it filled.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time


def train(seed: int, folder: str, extra: list[str]) -> tuple[float, float]:
    """One run in a process of its own: (test accuracy in per cent, seconds)."""
    command = [sys.executable, "-m", "minidl", "train", "--seed", str(seed), "--out", os.path.join(folder, str(seed))]
    environment = {**os.environ, "NUMBA_CACHE_DIR": os.path.join(folder, "cache")}
    start = time.perf_counter()
    done = subprocess.run([*command, *extra], env=environment, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return float(re.search(r"test accuracy: ([\d.]+) %", done.stdout).group(1)), seconds


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--seeds", type=int, default=10)
    options, extra = arguments.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        runs = []
        for seed in range(options.seeds):
            runs.append(train(seed, folder, extra))
            print(f"seed {seed}: {runs[-1][0]:.2f} %  {runs[-1][1]:.1f} s{'  (cold)' if seed == 0 else ''}", flush=True)
    accuracies = [accuracy for accuracy, _ in runs]
    print(f"test accuracy: worst {min(accuracies):.2f} %, mean {statistics.mean(accuracies):.2f} %")
    warm = [seconds for _, seconds in runs[1:]]
    print(f"seconds: cold {runs[0][1]:.1f}" + (f", warm {statistics.median(warm):.1f} (median)" if warm else ""))


if __name__ == "__main__":
    main()
