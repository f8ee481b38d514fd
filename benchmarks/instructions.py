"""Instructions per training step, which no neighbour on the machine disturbs: `profile_step.py tiny --instructions`.

Counted by perf, or by valgrind where perf may not; the difference between a process of many steps and one of few.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import measure

FEW, MANY = 10, 210  # steps
COUNTED = """
import sys
folder, network, name, steps = sys.argv[1:]
sys.path.insert(0, folder)
from contestants import contestants
from networks import NETWORKS
found = contestants(NETWORKS[network], [name] if name != "minidl" else [], lr=1e-6)[name]
for _ in range(int(steps)):
    found.step()
"""
COUNTERS = {
    "perf": (["perf", "stat", "-x,", "-e", "instructions:u"], r"^(\d+),.*instructions:u"),
    "valgrind": (
        ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"], r"I +refs: +([\d,]+)",
    ),
}  # fmt: skip


def instructions(options) -> list[dict]:
    """Instructions per step of each contestant."""
    print(f"\n{measure.describe(measure.machine())}")
    rows = []
    for name in options.contestants:
        for counter in COUNTERS:
            few, many = (count(counter, options.network, name, steps) for steps in (FEW, MANY))
            if few and many:
                rows.append({"contestant": name, "counter": counter, "instructions": (many - few) / (MANY - FEW)})
                print(f"{options.network}, {name}: {(many - few) / (MANY - FEW):,.0f} instructions a step ({counter})")
                break
        else:
            print(f"{name}: nothing counts instructions here; perf and valgrind are absent, not allowed, or failed")
    return rows


def count(counter: str, *program) -> int | None:
    """Instructions of a whole process; None where the counter does not work."""
    command, pattern = COUNTERS[counter]
    if shutil.which(command[0]) is None:
        return None
    folder = os.path.dirname(os.path.abspath(__file__))
    arguments = [*command, sys.executable, "-c", COUNTED, folder, *map(str, program)]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}  # every process does the same
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True)
    found = re.search(pattern, done.stderr, re.MULTILINE)
    return int(found.group(1).replace(",", "")) if found else None
