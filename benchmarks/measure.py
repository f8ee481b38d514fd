"""What the benchmarks share: processes with set threads and BLAS, alternating blocks, the facts of the machine.

How a comparison is made fair:

- Each setting (threads, BLAS core, kernels) has a process of its own, because libraries read these when they load. The
  limit on threads is the same for all libraries.
- The contestants take turns in short blocks, forwards and then backwards, so that whatever disturbs the machine
  disturbs all of them. A block's first call is not counted: it finds the caches of the one before, or its threads.
- The number given is the median over the blocks; a ratio is that of two medians, and its quartiles are those of the
  ratios of neighbouring blocks.
- The garbage collector runs between the blocks and not inside them, for all contestants alike.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import gc
import importlib.metadata
import json
import multiprocessing
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from itertools import product

import numpy as np

THREADS = "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"
LIBRARIES = "minidl", "numpy", "numba", "torch", "mygrad", "autograd", "dezero"


def arguments(doc: str, seconds: float | None = None, several: bool = True) -> argparse.ArgumentParser:
    """The options that all benchmarks take. seconds: None if nothing is timed; several: more than one setting."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    many = {"nargs": "+"} if several else {"nargs": 1}
    parser.add_argument("--threads", type=int, default=[1], metavar="N", help="for all contestants alike", **many)
    parser.add_argument(
        "--blas", default=["free"], metavar="CORE", **many,
        help="free: OpenBLAS chooses its kernels; pinned: as OPENBLAS_CORETYPE has it; or a core, such as Haswell",
    )  # fmt: skip
    parser.add_argument("--kernels", choices=["auto", "numba", "numpy"], default="auto", help="those of minidl")
    if seconds is not None:
        parser.add_argument("--seconds", type=float, default=seconds, help="for each measurement and contestant")
    parser.add_argument("--json", metavar="FILE", help="write the results, unrounded, with the facts of the machine")
    return parser


def each_setting(work: Callable, options: argparse.Namespace) -> list[dict]:
    """work(options) in a fresh process for each setting; returns [{setting, machine, rows}] and writes the JSON."""
    results = []
    for threads, blas in product(options.threads, options.blas):
        environment = dict.fromkeys(THREADS, str(threads)) | {"MINIDL_KERNELS": options.kernels}
        environment["OPENBLAS_CORETYPE"] = None if blas == "free" else _pinned() if blas == "pinned" else blas
        setting = {"threads": threads, "blas": blas, "kernels": options.kernels}
        results.append(setting | in_fresh_process(_stated, work, options, **environment))
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"benchmark": os.path.basename(sys.argv[0]), "results": results}, file, indent=1)
    return results


def in_fresh_process(function: Callable, *args, **environment: str | None):
    """function(*args) in a new Python process that has these environment variables (None: has them not)."""
    with _variables(environment):
        context = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as process:
            return process.submit(function, *args).result()


REST = 0.1  # seconds between blocks: the threads of whoever came before spin for a while, and then sleep


def alternate(functions: dict[str, Callable], seconds: float, block: float = 0.2) -> dict[str, np.ndarray]:
    """Seconds per call of each function, block by block, in `seconds` for each of them (at least three blocks)."""
    calls = {name: _calls(function, block) for name, function in functions.items()}
    times: dict[str, list[float]] = {name: [] for name in functions}
    order, end = list(functions), time.perf_counter() + seconds * len(functions)
    with collector_off():
        while time.perf_counter() < end or len(times[order[0]]) < 3:
            for name in order:
                time.sleep(REST)
                times[name].append(_block(functions[name], calls[name]))
            order.reverse()
    return {name: np.array(values) for name, values in times.items()}


@contextmanager
def collector_off() -> Iterator[None]:
    """No garbage collection inside, but those that are asked for."""
    gc.collect()
    gc.freeze()  # what is there already costs the collections between the blocks nothing
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


def summary(times: dict[str, np.ndarray], first: str = "minidl") -> dict:
    """Medians and quartiles in milliseconds, and the ratio of the first contestant to every other one."""
    ours = times[first]
    return {
        "ms": {name: 1e3 * float(np.median(t)) for name, t in times.items()},
        "quartiles": {name: _quartiles(1e3 * t) for name, t in times.items()},
        "ratio": {name: float(np.median(ours) / np.median(t)) for name, t in times.items() if name != first},
        "ratio_quartiles": {name: _quartiles(ours / t) for name, t in times.items() if name != first},
        "blocks": len(ours),
    }


def machine() -> dict:
    """Processor, system, versions, BLAS and threads, as this process has them. Nothing that names the machine."""
    from minidl import kernels

    torch = sys.modules.get("torch")
    return {
        "cpu": _cpu(),
        "processors": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: version for name in LIBRARIES if (version := installed(name))},
        "blas": _blas(),
        "threads": {"minidl": kernels.get_num_threads()} | ({"torch": torch.get_num_threads()} if torch else {}),
        "kernels": kernels.backend(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "date": date.today().isoformat(),
    }


def describe(facts: dict) -> str:
    """The facts of the machine in a few lines."""
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    threads = ", ".join(f"{name} {count}" for name, count in facts["threads"].items())
    return (
        f"{facts['cpu']}, {facts['processors']} to use, load {facts['load']}; {facts['system']}; {facts['date']}\n"
        f"Python {facts['python']}, {versions}\n"
        f"BLAS {facts['blas']}; threads: {threads}; kernels: {facts['kernels']}"
    )


def installed(package: str) -> str | None:
    """The version of a package, None where it is not there."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


class Table:
    """A table printed line by line, as the results come. Columns are as wide and aligned as their titles."""

    def __init__(self, *titles: str) -> None:
        self.titles = titles
        print("  ".join(titles), flush=True)

    def row(self, *cells: str) -> None:
        """Print one line."""
        pairs = zip(self.titles, cells, strict=True)
        line = "  ".join(f"{cell:{'>' if title[0] == ' ' else '<'}{len(title)}}" for title, cell in pairs)
        print(line.rstrip(), flush=True)


def _stated(work, options):
    rows = work(options)
    return {"machine": machine(), "rows": rows}


def _pinned():
    core = os.environ.get("OPENBLAS_CORETYPE")
    if core is None:
        sys.exit("--blas pinned: OPENBLAS_CORETYPE is not set here; name a core instead, such as --blas Haswell")
    return core


@contextmanager
def _variables(values: dict[str, str | None]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    try:
        _set(values)
        yield
    finally:
        _set(before)


def _set(values):
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _block(function, calls):
    gc.collect()
    function()
    start = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - start) / calls


def _calls(function, block):
    """How many calls fill a block. The first call may compile, the second may grow buffers."""
    function()
    function()
    calls, spent = 0, 0.0
    start = time.perf_counter()
    while spent < block / 2:
        function()
        calls, spent = calls + 1, time.perf_counter() - start
    return max(1, round(calls * block / spent))


def _quartiles(values):
    return [float(q) for q in np.percentile(values, (25, 75))]


def _cpu():
    try:
        with open("/proc/cpuinfo") as file:
            facts = dict(line.split(":", 1) for line in file.read().split("\n\n")[0].splitlines() if ":" in line)
    except OSError:
        return platform.processor() or platform.machine()
    facts = {key.strip(): value.strip() for key, value in facts.items()}
    vectors = {"avx512f": "AVX-512", "avx2": "AVX2", "asimd": "NEON"}
    flags = facts.get("flags", facts.get("Features", "")).split()
    return ", ".join([facts.get("model name", platform.machine()), *[v for k, v in vectors.items() if k in flags][:1]])


def _blas():
    built = np.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})
    name = f"{built.get('name', 'unknown')} {built.get('version', '')}".strip()
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return f"{name} (its core and threads are known where threadpoolctl is installed)"
    pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas" and "numpy" in pool["filepath"]]
    return name + "".join(f", core {pool.get('architecture')}, threads {pool['num_threads']}" for pool in pools)
