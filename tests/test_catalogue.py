"""notebooks/catalogue.md lists every technique of its families: each name is there to import, and none is left out."""

import importlib
import inspect
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[1] / "notebooks" / "catalogue.md"
PLACES = {
    "nn": "minidl.nn", "F": "minidl.nn.functional", "augment": "minidl.data.augment", "data": "minidl.data",
    "train": "minidl.train", "optim": "minidl.optim", "models": "minidl.models", "viz": "minidl.viz",
    "minidl": "minidl",
}  # fmt: skip
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.read_text(encoding="utf-8").splitlines()
    if re.match(r"\| [A-Z]\d", line)
]
NAMES = sorted({name for _, names, *_ in ROWS for name in re.findall(r"`(\w+(?:\.\w+)+)", names)})


@pytest.mark.parametrize("name", NAMES)
def test_every_name_can_be_imported_and_is_documented(name):
    place, *rest = name.split(".")
    thing = importlib.import_module(PLACES[place])
    for part in rest:
        thing = getattr(thing, part)
    doc = inspect.getdoc(thing)
    assert doc and not doc.startswith(f"{rest[-1]}("), f"{name} has no docstring"  # a dataclass would make one up


def test_every_row_of_the_list_is_there_with_its_source():
    rows = {row for cells in ROWS for row in re.findall(r"[A-Z]\d+", cells[0])}
    assert rows >= {"B5", "B7", "B10", "D3", "D5", "D7", "D9", "E4", "E5", "G4", *(f"F{k}" for k in range(3, 11))}
    for row, names, what, source in ROWS:
        assert re.search(r"`[\w.]+", names) and what, (row, names)
        assert re.search(r"(18|19|20)\d\d", source), f"{names}: no paper with its year"


def test_every_augmentation_is_listed():
    from minidl.data import augment

    listed = {name.removeprefix("augment.") for name in NAMES if name.startswith("augment.")}
    assert set(augment.__all__) - listed == set()
