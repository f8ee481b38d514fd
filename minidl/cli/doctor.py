"""Versions, threads, BLAS and kernels on one screen, to paste into a bug report."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
from pathlib import Path

import numpy as np

from .. import __version__, kernels
from ..data import data_folder

PACKAGES = ("numpy", "numba", "matplotlib", "tqdm", "safetensors", "torch")
VARIABLES = ("MINIDL_", "OMP_", "OPENBLAS_", "MKL_", "NUMBA_", "BLIS_", "VECLIB_")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None."""


def run(args: argparse.Namespace) -> int:
    """Print the screen."""
    for name, value in facts().items():
        print(f"{name:<12} {value}")
    return 0


def facts() -> dict[str, str]:
    """What a bug report needs, by name."""
    return {
        "minidl": f"{__version__} in {os.path.dirname(os.path.dirname(os.path.abspath(__file__)))}",
        "python": f"{platform.python_version()} ({platform.python_implementation()}, {platform.machine()})",
        "system": platform.platform(),
        "cpu": f"{os.cpu_count()} cores{_affinity()}",
        **{name: _version(name) for name in PACKAGES},
        "blas": _blas(),
        "threads": ", ".join(f"{k}={v}" for k, v in sorted(os.environ.items()) if k.startswith(VARIABLES)) or "not set",
        "kernels": f"{kernels.backend()}, {_compiled()}",
        "data folder": str(data_folder()),
    }


def _compiled() -> str:
    """Where numba keeps compiled kernels: beside the source, unless told otherwise or it cannot write there."""
    folder = Path(os.environ.get("NUMBA_CACHE_DIR") or Path(kernels.__file__).parent / "__pycache__")
    count = len(list(folder.rglob("*.nbi"))) if folder.is_dir() else 0
    writable = os.access(folder if folder.is_dir() else folder.parent, os.W_OK)
    return f"{count} compiled in {folder}{'' if writable else ' (not writable)'}"


def _affinity() -> str:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return "" if usable == os.cpu_count() else f", {usable} usable by this process"


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _blas() -> str:
    blas = np.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})
    built = f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip()
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return f"{built} (pip install threadpoolctl shows its threads and core)"
    pools = [f"{p['internal_api']} {p.get('architecture', '')} x{p['num_threads']}" for p in threadpool_info()]
    return f"{built}; loaded: {', '.join(pools) or 'none'}"
