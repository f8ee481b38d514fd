"""The notebooks do what they show: stored cells are their source, they run, and what is stored is what they print.

When is a stored output stale? A cell must have as many pictures as before, and print the same words; its numbers may
differ by a thousandth (or 1e-6), because other processors round differently. Of a cell with the tag "varies" (see
notebooks/build.py) numbers and the count of lines are left out: the distinct lines, with their numbers blotted out,
must be the same. Whether those numbers are good is for the assertions in the cell to say. Pictures are not compared.
"""

import difflib
import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
NUMBER = re.compile(r"(?<![A-Za-z_])[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?")

_spec = importlib.util.spec_from_file_location("build", FOLDER / "build.py")
build = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(build)

SOURCES = {s.relative_to(FOLDER).with_suffix("").as_posix(): s for s in build.sources()}
each = pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES.keys())


def stored(source: Path) -> dict:
    path = source.with_suffix(".ipynb")
    assert path.is_file(), f"{path.name} is missing: python notebooks/build.py {source.stem}"
    return json.loads(path.read_text(encoding="utf-8"))


def code(notebook: dict) -> list[dict]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def printed(cell: dict) -> str:
    texts = [out.get("text") or out.get("data", {}).get("text/plain", "") for out in cell["outputs"]]
    return "\n".join("".join(text) for text in texts)


def pictures(cell: dict) -> int:
    return sum("image/png" in out.get("data", {}) for out in cell["outputs"])


def lines(text: str) -> list[str]:
    """Lines without their numbers; spaces do not count, for they depend on the width of the numbers."""
    return ["".join(NUMBER.sub("#", line).split()) for line in text.splitlines() if line.strip()]


def stale(old: str, new: str, varies: bool) -> bool:
    """Does the stored text differ from the new one, in the sense of the docstring at the top?"""
    if varies:
        return set(lines(old)) != set(lines(new))
    if lines(old) != lines(new):
        return True
    return not np.allclose(*([float(n) for n in NUMBER.findall(t)] for t in (old, new)), rtol=1e-3, atol=1e-6)


@each
def test_stored_cells_are_those_of_the_source(source):
    found = stored(source)
    bare = [{**cell, "outputs": [], "execution_count": None} for cell in code(found)]
    assert bare == code(build.read(source)), f"build anew: python notebooks/build.py {source.stem}"
    assert [c for c in found["cells"] if c["cell_type"] == "markdown"] == [
        c for c in build.read(source)["cells"] if c["cell_type"] == "markdown"
    ]
    assert found["metadata"] == build.METADATA


@each
def test_stored_notebook_can_be_read_as_it_is(source):
    found = stored(source)
    assert [cell["execution_count"] for cell in code(found)] == list(range(1, len(code(found)) + 1))
    assert "error" not in {out["output_type"] for cell in code(found) for out in cell["outputs"]}
    assert sum(map(pictures, code(found))) >= 1
    assert len(found["cells"]) <= 40
    assert source.with_suffix(".ipynb").stat().st_size < 700_000
    for cell in code(found):
        assert not re.search(r"/tmp|/home|/Users|site-packages|0x[0-9a-f]{6}", printed(cell)), "true on one machine"


@pytest.mark.notebook
@each
def test_runs_in_a_clean_kernel_and_prints_what_is_stored(source):
    for name in ("nbformat", "nbclient", "ipykernel"):
        pytest.importorskip(name, reason=f"running the notebooks needs {name}")
    fresh = build.execute(build.read(source), source.parent)
    for old, new in zip(code(stored(source)), code(fresh), strict=True):
        varies = "varies" in old["metadata"].get("tags", [])
        assert pictures(old) == pictures(new), f"cell {old['id']}: another number of pictures"
        if stale(printed(old), printed(new), varies):
            texts = (printed(cell).splitlines() for cell in (old, new))
            changes = difflib.unified_diff(*texts, "stored", "printed now", lineterm="")
            pytest.fail(f"cell {old['id']} is stale: python notebooks/build.py {source.stem}\n" + "\n".join(changes))


@pytest.mark.parametrize(
    "old, new, varies, expected",
    [
        ("loss 0.5000", "loss 0.5001", False, False),
        ("worst error 1.4e-11", "worst error 3e-11", False, False),
        ("[[1., 10.]]", "[[ 1.0, 10.001]]", False, False),
        ("loss 0.50", "loss 0.51", False, True),
        ("loss 0.50", "loss -0.50", False, True),
        ("loss 0.50", "loss nan", False, True),
        ("loss 0.50", "cost 0.50", False, True),
        ("conv2d of 3", "conv3d of 3", False, True),
        ("loss 0.50", "loss 0.50\nloss 0.40", False, True),
        ("epoch 1: 0.50", "epoch 1: 0.60\nepoch 2: 0.40", True, False),
        ("epoch 1: 0.50", "epoch 1: 0.50\nstopped", True, True),
        ("epoch 1: 0.50", "", True, True),
    ],
)
def test_what_counts_as_stale(old, new, varies, expected):
    assert stale(old, new, varies) is expected


def test_a_source_is_read_cell_by_cell(tmp_path):
    source = tmp_path / "a.py"
    source.write_text('# %% [markdown]\n# # Title\n#\n# *text*\n\n# %% tags=["varies"]\nx = 1  # one\n\n# two\n\n')
    text, run = build.read(source)["cells"]
    assert text == {"cell_type": "markdown", "id": "00", "metadata": {}, "source": ["# Title\n", "\n", "*text*"]}
    assert run["source"] == ["x = 1  # one\n", "\n", "# two"] and run["metadata"] == {"tags": ["varies"]}
    for wrong in ("# %% [raw]\n", "# %% [markdown]\nprose without its sign\n"):
        source.write_text("# %%\n" + wrong)
        with pytest.raises(ValueError, match=r"a\.py, line [23]"):
            build.read(source)
