"""A small assignment for the tests of the course: two exercises, visible and hidden checks, an object, a callback."""

import importlib.util
import os
from pathlib import Path

import pytest

from minidl.course import notebook as nb

IN_CI = bool(os.environ.get("MINIDL_TEST_PROGRAMS"))
FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
_spec = importlib.util.spec_from_file_location("build", FOLDER / "build.py")
build = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(build)

SOURCE = '''\
# %% [markdown]
# # A0. A small one

# %% given
import numpy as np

from minidl import course


def doubled(x):
    return 2 * x


# %% solution id="affine"
def affine_forward(x, w, b):
    """x @ w.T + b"""
    ### BEGIN SOLUTION
    return x @ w.T + b
    ### END SOLUTION


def affine_backward(dout, x, w, b):
    """(dx, dw, db)"""
    ### BEGIN SOLUTION
    return dout @ w, dout.T @ x, dout.sum(axis=0)
    ### END SOLUTION

# %% test id="affine_out" points=20
with course.checks("the affine map", lesson=4) as t:
    inputs = course.probe(1, x="NF", w="KF", b="K", N=2, F=3, K=4)
    t.value("two rows", affine_forward, inputs, lambda x, w, b: x @ w.T + b)
    t.that("a helper", lambda: doubled(21) == 42, "the helper was changed")
    ### BEGIN HIDDEN TESTS
    t.hide()
    one = course.probe(2, x="NF", w="KF", b="K", N=1, F=3, K=4)
    t.value("one row", affine_forward, one, lambda x, w, b: x @ w.T + b)
    ### END HIDDEN TESTS

# %% test id="affine_db" points=30
with course.checks("db of the affine map", lesson=4) as t:
    inputs = course.probe(1, x="NF", w="KF", b="K", N=2, F=3, K=4)
    t.gradient("two rows", affine_backward, "b", lambda x, w, b: x @ w.T + b, inputs)
    ### BEGIN HIDDEN TESTS
    t.hide()
    many = course.probe(3, x="NF", w="KF", b="K", N=5, F=3, K=4)
    t.gradient("five rows", affine_backward, "b", lambda x, w, b: x @ w.T + b, many)
    ### END HIDDEN TESTS

# %% show
print(affine_forward(np.ones((1, 2)), np.ones((3, 2)), np.ones(3)))

# %% solution id="counter"
class Counter:
    """Adds up f of what it is given."""

    def __init__(self, f):
        ### BEGIN SOLUTION
        self.f, self.total = f, 0.0
        ### END SOLUTION

    def __add__(self, value):
        ### BEGIN SOLUTION
        self.total = self.total + self.f(value)
        return self
        ### END SOLUTION

# %% test id="counted" points=50
with course.checks("the counter", lesson=12) as t:
    x = np.array([1.0, 2.0, 4.0])
    t.value("squares", lambda x: (Counter(np.square) + x + 2 * x).total, {"x": x}, 5 * x * x)
'''


def source(folder: Path) -> dict:
    """The notebook of the instructor; the folder is that of a test."""
    path = folder / "assignments" / "A0_small.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text(SOURCE, encoding="utf-8")
    return build.read(path)


def changed(notebook: dict, *pairs: tuple[str, str]) -> dict:
    """The notebook with other text in its cells; each old text must be there."""
    cells = [nb.source(cell) for cell in notebook["cells"]]
    for old, new in pairs:
        assert sum(text.count(old) for text in cells) == 1, f"not there once: {old!r}"
        cells = [text.replace(old, new) for text in cells]
    pairs = zip(notebook["cells"], cells, strict=True)
    return {**notebook, "cells": [nb.with_source(cell, text) for cell, text in pairs]}


def marks(result: dict) -> dict[str, int]:
    return {cell["id"]: cell["earned"] for cell in result["cells"]}


def said(result: dict) -> str:
    """Everything that a student or an instructor reads."""
    texts = [cell["text"] for cell in result["cells"]]
    return "\n".join([*texts, *result["notes"], *result["errors"], *result["flags"]])


def cases(of: dict, *always: str) -> list:
    """Parameters of a test: those named run always, the others in CI."""
    marks = {name: () if name in always else pytest.mark.programs for name in of}
    values = {name: case if isinstance(case, tuple) else (case,) for name, case in of.items()}
    return [pytest.param(*values[name], id=name, marks=marks[name]) for name in of]
