"""The grader: marks of right, blank and wrong submissions; what breaks or cheats it does not get through."""

import csv
import io
import json
import os
import subprocess
import sys
import zipfile
from importlib.util import find_spec

import course_mini as mini
import pytest

from minidl import cli
from minidl.course import notebook as nb
from minidl.course import probe
from minidl.course.examine import examine
from minidl.course.grade import grade
from minidl.course.merge import blanks_left, merge
from minidl.course.release import release
from minidl.course.remote import Limits

ALL = {"affine_out": 20, "affine_db": 30, "counted": 50}
OUT, DB, COUNT = ("return x @ w.T + b", "return dout @ w, dout.T @ x, dout.sum(axis=0)", "self.total + self.f(value)")
QUICK = Limits(seconds=4.0)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return mini.source(tmp_path_factory.mktemp("mini"))


def marked(source, *changes, limits=QUICK):
    return examine(source, mini.changed(source, *changes), limits)


def test_the_reference_gets_all_and_the_blank_nothing(source):
    right, blank = examine(source, source), examine(source, release(source))
    assert mini.marks(right) == ALL and not right["notes"] + right["errors"] + right["flags"]
    assert mini.marks(blank) == dict.fromkeys(ALL, 0) and not blank["notes"] + blank["errors"]
    assert all("nothing is written here yet" in cell["text"] for cell in blank["cells"] if cell["id"] != "affine_out")
    assert right["cells"][0]["visible"] == [2, 2] and right["cells"][0]["hidden"] == [1, 1]


def test_one_wrong_tensor_costs_its_marks_only(source):
    result = marked(source, (DB, DB.replace("axis=0)", "axis=0) * 2")))
    assert mini.marks(result) == {**ALL, "affine_db": 0}
    assert "every element is 2 times the right value" in mini.said(result)


def test_what_only_a_hidden_check_sees_is_told_without_its_data(source):
    result = marked(source, (OUT, "return x @ w.T + b * (len(x) > 1)"))
    cell = result["cells"][0]
    assert mini.marks(result) == {**ALL, "affine_out": 0} and cell["visible"] == [2, 2] and cell["hidden"] == [0, 1]
    assert "hidden check 'one row'" in cell["text"] and "lesson 04" in cell["text"] and "yours" not in cell["text"]


# --- what goes wrong in one check leaves the marks of the others -----------------------------------------------------

BREAKS = {  # what -> (code in place of the answer, words that are said)
    "an exception": ("raise ValueError('oh')", "it raised ValueError: oh"),
    "an exception that has no text": (
        "raise type('E', (Exception,), {'__str__': lambda s: 1 / 0})", "its text cannot be shown"
    ),
    "sys.exit": ("import sys; sys.exit()", "it raised SystemExit"),
    "os._exit": ("import os; os._exit(0)", "its process ended"),
    "a crash": ("import ctypes; ctypes.string_at(0)", "its process ended"),
    "an endless loop": ("\n    while True: pass", "did not end within 4 seconds"),
    "endless recursion": ("return affine_forward(x, w, b)", "RecursionError"),
    "too much memory": ("return np.ones(10**12)", "MemoryError"),
    "a printed flood": ("print('x' * 10**8); return 0 * x", "shape (2, 3)"),
    "a flood into standard output": ("\n    import os; os.write(1, b'x' * 10**6); return 0 * x", "shape (2, 3)"),
    "an interrupt": ("raise KeyboardInterrupt", "it raised KeyboardInterrupt"),
    "something that is no array": ("return lambda: 3", "function"),
    "a warning turned error": ("import warnings; warnings.simplefilter('error'); return np.log(0 * x)", "(2, 3)"),
}  # fmt: skip


@pytest.mark.parametrize("code, words", mini.cases(BREAKS, "an exception", "os._exit"))
def test_a_break_in_one_check_leaves_the_other_marks(source, code, words):
    if code.startswith("return np.ones") and sys.platform != "linux":
        pytest.skip("memory is limited on Linux only")
    result = marked(source, (OUT, code))
    assert mini.marks(result) == {**ALL, "affine_out": 0}
    assert words in result["cells"][0]["text"]


@pytest.mark.programs
@pytest.mark.parametrize("code", ["while True: pass", "import os; os._exit(3)", "raise ValueError", "def f(:"])
def test_a_break_while_a_cell_runs_leaves_the_other_cells(source, code):
    result = marked(source, ("class Counter:", f"{code}\nclass Counter:"))
    assert mini.marks(result) == {**ALL, "counted": 0} and len(result["errors"]) == 1
    assert "counter" in result["errors"][0]


# --- cheats ----------------------------------------------------------------------------------------------------------

ENGINE = str(mini.FOLDER.parent / "minidl" / "engine.py")
HEAD = "def affine_forward"
CHEATS = {  # what -> ((old, new) changes, cells that are lost, words that are said)
    "torch": ((OUT, "import torch; return torch.tensor(x) @ w.T + b"), ["affine_out"], "imports torch"),
    "torch, hidden": (
        (OUT, "import importlib; return importlib.import_module('to' + 'rch').tensor(x)"), ["affine_out"],
        "imports torch" if find_spec("torch") else "No module named",
    ),
    "torch, at the top": ((HEAD, f"import torch\n{HEAD}"), ["affine_out", "affine_db"], "imports torch"),
    "the layer itself": (
        (OUT, "from minidl.nn import functional as F; return F.linear(x, w, b)"), ["affine_out"], "imports minidl.nn"
    ),
    "the layer itself, hidden": (
        (OUT, "return __import__('mini' + 'dl.nn').nn.functional.linear(x, w, b)"), ["affine_out"], "imports minidl",
    ),
    "reading the library": (
        (OUT, f"return open({ENGINE!r}).read()"), ["affine_out"], "opens files of the course",
    ),
    "writing elsewhere": (
        (OUT, f"return open({str(mini.FOLDER / 'stolen')!r}, 'w')"), ["affine_out"], "changes files outside its folder"
    ),
    "starting a process": ((OUT, "import os; os.system('true')"), ["affine_out"], "uses os.system"),
    "ending the grader": ((OUT, "import os; os.kill(os.getppid(), 9)"), ["affine_out"], "uses os.kill"),
    "the network": (
        (OUT, "import socket; socket.create_connection(('127.0.0.1', 9))"), ["affine_out"], "uses socket",
    ),
    "patching numpy": (
        (HEAD, f"np.array_equal = np.allclose = np.abs = np.max = lambda *a, **k: 0.0\n{HEAD}"), [], ""
    ),
    "patching numpy to hide a wrong answer": (
        (OUT, "np.array_equal = np.allclose = lambda *a, **k: True; return 0 * (x @ w.T)"), ["affine_out"], "zero"
    ),
    "patching the checks": (
        (HEAD, f"course.checks = None\ncourse.CheckFailed = Exception\n{HEAD}"), [], ""
    ),
    "patching the checks, with a wrong answer": (
        (OUT, "course.Checks.__exit__ = lambda *a: True; return 0 * (x @ w.T)"), ["affine_out"], "zero"
    ),
    "an array that calls itself equal": (
        (OUT, "return type('E', (np.ndarray,), {'__eq__': lambda s, o: True, '__sub__': lambda s, o: 0})((2, 4))"),
        ["affine_out"], "wrong",
    ),
    "an object that answers everything": (
        (OUT, "return type('E', (), {'__getattr__': lambda s, n: 0, '__array__': lambda s: np.ones((2, 4))})()"),
        ["affine_out"], "wrong",
    ),
    "looking for the tests in the stack": (
        (OUT, "import sys\n    frame = sys._getframe()\n    while 't' not in frame.f_globals: frame = frame.f_back"),
        ["affine_out"], "NoneType",
    ),
    "a link to the library": (
        (OUT, f"import os; os.symlink({ENGINE!r}, 'e'); return open('e').read()"), ["affine_out"], "uses os.symlink",
    ),
    "the library by another way": (
        (OUT, f"return open('/proc/self/root{ENGINE}').read()"), ["affine_out"],
        "opens files of the course" if sys.platform == "linux" else "No such file",
    ),
    "removing files of others": (
        (OUT, f"import os; os.remove({str(mini.FOLDER / 'nothing')!r})"), ["affine_out"],
        "changes files outside its folder",
    ),
    "an object that answers comparisons": (
        (OUT, "return type('L', (), {n: lambda *a: True for n in ('__eq__', '__lt__', '__sub__', 'all')})()"),
        ["affine_out"], "not a NumPy array",
    ),
    "answering in the grader's language": (
        (OUT, "import os\n    for n in range(3, 9):\n     try: os.write(n, b'\\xff' * 64)\n     except OSError: pass"),
        ["affine_out"], "process",
    ),
    "lying about the data given": (
        ("def doubled(x):\n    return 2 * x", "def doubled(x):\n    return 42"), [], "was changed: restored"
    ),
    "redefining what is given": ((HEAD, f"doubled = lambda x: 0\n{HEAD}"), ["affine_out"], "the helper was changed"),
}  # fmt: skip


@pytest.mark.parametrize("change, lost, words", mini.cases(CHEATS, "the layer itself", "redefining what is given"))
def test_a_cheat_earns_nothing_and_is_told(source, change, lost, words):
    result = marked(source, change)
    assert mini.marks(result) == {**ALL, **dict.fromkeys(lost, 0)}
    assert words in mini.said(result)


def test_a_function_lent_to_one_check_is_of_no_use_in_another(source):
    """np.square, which the last exercise is given, would answer a check of the first."""
    kept = mini.changed(source, ("self.f, self.total = f, 0.0", "self.f, self.total = f, 0.0; KEPT.append(f)"),
                        (OUT, "return KEPT[0](x) @ w.T + b"), (HEAD, f"KEPT = []\n{HEAD}"))  # fmt: skip
    own = nb.identity
    last = [c for c in kept["cells"] if own(c) in ("counter", "counted")]
    moved = {**kept, "cells": [kept["cells"][1], *last, *(c for c in kept["cells"][2:] if c not in last)]}
    assert mini.marks(examine(source, moved)) == {**ALL, "affine_out": 0}  # the order is that of the source
    later = mini.changed(source, ("self.f, self.total = f, 0.0", "self.f, self.total = KEPT.setdefault('f', f), 0.0"),
                         ("class Counter:", "KEPT = {}\nclass Counter:"))  # fmt: skip
    assert mini.marks(examine(later, later)) == ALL
    test = next(c for c in later["cells"] if own(c) == "counted")
    again = {**test, "metadata": {"nbgrader": {**test["metadata"]["nbgrader"], "grade_id": "again"}}}
    twice = {**later, "cells": [*later["cells"], again]}
    result = examine(twice, twice)
    assert mini.marks(result)["counted"] == 50 and mini.marks(result)["again"] == 0
    assert "the check that handed in this function is over" in mini.said(result)


def test_honest_notebooks_that_are_arranged_otherwise_keep_their_marks(source):
    first, second = (c for c in nb.cells(source, "solution"))
    merged = nb.with_source(first, nb.source(first) + "\n\n" + nb.source(second))
    rest = [merged if c is first else c for c in source["cells"] if c is not second]
    result = examine(source, {**source, "cells": rest})
    assert mini.marks(result) == ALL and "its code is looked for in the other cells" in mini.said(result)
    bare = [{"cell_type": c["cell_type"], "metadata": {}, "source": nb.source(c)} for c in source["cells"]]
    result = examine(source, {**source, "cells": bare})
    assert mini.marks(result) == ALL and "no cell has a name any more" in mini.said(result) and not result["flags"]


HONEST = {  # code at the top of an answer that a student may well write
    "magics": "%matplotlib inline\n!ls\n%timeit 1",
    "a cell magic": "%%time",
    "a data class": (
        "from __future__ import annotations\nimport dataclasses\n@dataclasses.dataclass\nclass P:\n    x: int = 1"
    ),
    "pickles and main": "import pickle, __main__\nclass Q: pass\npickle.dumps(Q()); __main__.Q",
    "a temporary folder": "import tempfile\nwith tempfile.TemporaryDirectory() as d: open(d + '/a', 'w').write('1')",
    "its own files": "import os\nos.makedirs('a/b', exist_ok=True); open('a/b/c', 'w').write('1'); os.remove('a/b/c')",
    "prints and main guard": "print('hello')\nif __name__ == '__main__': print('yes')",
    "a drawing": "import matplotlib.pyplot as plt\nplt.plot([1, 2]); plt.show()",
}  # fmt: skip


@pytest.mark.parametrize("code", mini.cases(HONEST, "magics", "a data class"))
def test_honest_code_keeps_its_marks(source, code):
    result = marked(source, (HEAD, f"{code}\n{HEAD}"), limits=Limits(seconds=20))
    assert mini.marks(result) == ALL and not result["flags"] + result["errors"]


@pytest.mark.programs
def test_time_is_limited_for_all_cells_of_the_students_own_together(source, monkeypatch):
    monkeypatch.setattr("minidl.course.examine.PATIENCE", 1)
    busy = "import time\nend = time.process_time() + 1.6\nwhile time.process_time() < end: pass"
    four = [{"cell_type": "code", "metadata": {}, "source": busy}] * 4
    late = {"cell_type": "code", "metadata": {}, "source": "raise ValueError('nothing has stopped it')"}
    result = examine(source, {**source, "cells": [*source["cells"][:2], *four, late, *source["cells"][2:]]}, QUICK)
    assert mini.marks(result) == ALL
    assert "did not end within" in mini.said(result) and "nothing has stopped it" not in mini.said(result)


@pytest.mark.programs
def test_an_answer_that_only_waits_is_ended_too(source):
    result = marked(source, (OUT, "import time; time.sleep(1e6)"), limits=Limits(seconds=1.0))
    assert mini.marks(result) == {**ALL, "affine_out": 0}
    assert "did not end within 1 seconds" in result["cells"][0]["text"]


@pytest.mark.programs
def test_a_child_that_holds_the_line_does_not_hold_the_grader(source):
    """It would wait for ever."""
    child = "import ctypes, os, time\n    if ctypes.CDLL(None).fork() == 0: time.sleep(1e6)\n    os._exit(0)"
    if os.name != "posix":
        pytest.skip("forks on POSIX only")
    assert mini.marks(marked(source, (OUT, child))) == {**ALL, "affine_out": 0}


def test_edited_deleted_and_promoted_test_cells_are_restored(source):
    edited = mini.changed(
        source, (DB, "return None"), ('t.gradient("two rows", ', 'len(("two rows", '), ("doubled(x)", "doubled(y)")
    )
    for cell in nb.cells(edited, "test"):
        cell["metadata"] = {"nbgrader": {**cell["metadata"]["nbgrader"], "points": 100}}
    edited["cells"] = [c for c in edited["cells"] if nb.identity(c) not in ("counted", "counter")]
    result = examine(source, edited)
    assert mini.marks(result) == {"affine_out": 20, "affine_db": 0, "counted": 0}
    assert [c["points"] for c in result["cells"]] == [20, 30, 50]
    for words in ("test cell 'affine_db' was changed", "'counted' was deleted", "solution cell 'counter' was deleted"):
        assert words in mini.said(result)


def test_copied_cells_and_cells_of_the_students_own_run_in_their_order(source):
    blank = release(source)
    answer = next(c for c in nb.cells(source, "solution") if nb.identity(c) == "affine")
    helper = {"cell_type": "code", "metadata": {}, "source": "def helper(x, w, b):\n    return x @ w.T + b"}
    using = nb.with_source(answer, nb.source(answer).replace(OUT, "return helper(x, w, b)"))
    at = next(i for i, c in enumerate(blank["cells"]) if nb.identity(c) == "affine")
    copied = {**blank, "cells": [*blank["cells"][: at + 1], helper, using, *blank["cells"][at + 1 :]]}
    result = examine(source, copied)
    assert mini.marks(result) == {"affine_out": 20, "affine_db": 30, "counted": 0}
    assert "the cell 'affine' is there 2 times" in mini.said(result)


def test_a_cell_that_claims_marks_of_its_own_has_none(source):
    claims = {"nbgrader": {"grade": True, "grade_id": "bonus", "points": 1000, "solution": False, "locked": True}}
    cell = {"cell_type": "code", "metadata": claims, "source": "1"}
    result = examine(source, {**source, "cells": [*source["cells"], cell]})
    assert mini.marks(result) == ALL


LEAK = '''\
    def leak(self):
        """A class with a telling name, and a forged flag."""
        import sys
        frame = sys._getframe()
        while frame:
            worker = frame.f_locals.get("self")
            if hasattr(worker, "flags"):
                worker.flags.append(str(SEEN))
            frame = frame.f_back
        return type("L" + "".join(filter(str.isalnum, str(SEEN))), (), {})()

'''


def test_hidden_data_cannot_be_carried_out(source):
    """Whatever hidden checks hand in is kept by the submission, and told wherever it can: nothing of it arrives."""
    stash = "\n    SEEN.append(float(np.ravel(x)[0]))\n    "
    result = marked(
        source,
        (HEAD, f"SEEN = []\n{HEAD}"),
        (OUT, stash + "if len(x) == 1: raise type('E%d' % int(1e6 * x[0, 0]), (ValueError,), {})(str(x))\n    " + OUT),
        (DB, "print(SEEN); raise ValueError(str(SEEN))"),
        ("class Counter:", "open('s', 'w').write(str(SEEN))\nif SEEN: raise ValueError(str(SEEN))\nclass Counter:"),
        ("self.total = self.total + self.f(value)", "self.total = self.leak()"),
        ("    def __add__", LEAK + "    def __add__"),
    )
    hidden = probe(2, x="NF", w="KF", b="K", N=1, F=3, K=4)["x"][0, 0]
    for digits in (str(hidden)[:7], str(hidden)[2:8]):
        assert digits not in json.dumps(result)
    assert f"E{int(1e6 * hidden)}" not in json.dumps(result)
    assert "it raised ValueError" in mini.said(result)


def test_the_order_of_a_submission_is_merged_with_the_source(source):
    blank = release(source)
    cells, notes = merge(source, {**blank, "cells": blank["cells"][::-1]})
    graded = [nb.identity(c) for c in nb.cells(source, "given", "solution", "test")]
    assert not notes and [nb.identity(c) for c in cells] == graded
    cells, notes = merge(source, {**blank, "cells": []})
    assert [nb.identity(c) for c in cells] == [n for n in graded if n not in ("affine", "counter")]
    assert "no cell has a name any more" in notes[0]
    assert len(blanks_left(blank, {**blank, "cells": []})) == len(blanks_left(blank, blank)) == 2
    assert not blanks_left(blank, source)


# --- whole folders ---------------------------------------------------------------------------------------------------


def archive(path, name: str, text: bytes) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(name, text)


@pytest.fixture
def course(source, tmp_path):
    """A folder with the instructor's notebook, and one with submissions of every kind."""
    path = tmp_path / "course" / "source" / "A0" / "A0_small.ipynb"
    path.parent.mkdir(parents=True)
    path.write_text(nb.dump(source), encoding="utf-8")
    folder = tmp_path / "submissions"
    folder.mkdir()
    right = nb.dump(source).encode()
    wrong = nb.dump(mini.changed(source, (OUT, "return -(x @ w.T + b)"))).encode()
    archive(folder / "ada.zip", "A0_small.ipynb", right)
    (folder / "bob.ipynb").write_bytes(wrong)
    (folder / "cleo" / "A0").mkdir(parents=True)
    (folder / "cleo" / "A0" / "renamed.ipynb").write_bytes(nb.dump({**source, "metadata": {}}).encode())
    (folder / "=HYPERLINK(1)<script>.ipynb").write_bytes(nb.dump(release(source)).encode())
    (folder / "broken.ipynb").write_text('{"cells": [', encoding="utf-8")
    (folder / "deep.ipynb").write_text("[" * 100_000, encoding="utf-8")
    (folder / "empty.zip").write_bytes(b"")
    archive(folder / "slip.zip", "../../outside.ipynb", right)
    with zipfile.ZipFile(folder / "spoilt.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("A0_small.ipynb", right)
    spoilt = bytearray((folder / "spoilt.zip").read_bytes())
    spoilt[60:90] = bytes(30)
    (folder / "spoilt.zip").write_bytes(spoilt)
    deepest = folder / "nested"
    for _ in range(30):
        deepest /= "n"
    deepest.mkdir(parents=True)
    (deepest / "A0_small.ipynb").write_bytes(right)
    (folder / "LOUD.IPYNB").write_bytes(right)
    odd = os.fsencode(folder) + b"/odd\xff\xfe.ipynb" if sys.platform == "linux" else os.fsencode(folder / "odd.ipynb")
    with open(odd, "wb") as file:
        file.write(right)
    (folder / "twice").mkdir()
    (folder / "twice" / "a.ipynb").write_bytes(right)
    (folder / "twice" / "b.ipynb").write_bytes(wrong)
    return {"A0": path}, folder


def test_a_folder_of_submissions_is_graded_and_graded_again_to_the_same_bytes(course, tmp_path):
    sources, folder = course
    said = []
    rows = {row["student"]: row for row in grade(folder, sources, tmp_path / "a.csv", jobs=2, say=said.append)}
    assert {name: row["marks"] for name, row in rows.items()} == {
        "ada": 100, "bob": 80, "cleo": 100, "=HYPERLINK(1)<script>": 0, "broken": 0, "deep": 0, "empty": 0, "slip": 0,
        "twice": 100, "spoilt": 0, "nested": 0, "LOUD": 100, "odd??": 100,
    }  # fmt: skip
    assert "no notebook" in rows["broken"]["notes"][0] and rows["empty"]["notes"] and len(said) == len(rows)
    assert rows["twice"]["notes"] == ["handed in more than once: twice/a.ipynb is graded, twice/b.ipynb is not"]
    assert "broken: not graded; broken.ipynb is no notebook" in "\n".join(said)
    assert not (tmp_path / "outside.ipynb").exists()
    table = list(csv.DictReader(io.StringIO((tmp_path / "a.csv").read_text())))
    assert [row["student"] for row in table] == ["'=HYPERLINK(1)<script>", *sorted(rows)[1:]]
    assert "cannot be read" in rows["spoilt"]["notes"][0]
    assert next(row for row in table if row["student"] == "bob")["affine_out"] == "0"
    pages = tmp_path / "a_feedback"
    page = (pages / "bob-A0.html").read_text(encoding="utf-8")
    assert "80 of 100 marks" in page and "sign is flipped" in page and "1 of 2 visible checks pass" in page
    for path in pages.iterdir():
        assert "<script" not in path.read_text(encoding="utf-8") and path.parent == pages
    grade(folder, sources, tmp_path / "b.csv")
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    for path in pages.iterdir():
        assert path.read_bytes() == (tmp_path / "b_feedback" / path.name).read_bytes()
    with pytest.raises(ValueError, match="marks are not overwritten"):
        grade(folder, sources, tmp_path / "a.csv")


def test_nothing_is_graded_where_the_reference_does_not_earn_all_marks(course, tmp_path):
    sources, folder = course
    text = sources["A0"].read_text(encoding="utf-8").replace("5 * x * x", "6 * x * x")
    sources["A0"].write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="reference of A0 earns 50 of 100 marks here, so nothing was graded"):
        grade(folder, sources, tmp_path / "a.csv")
    assert not (tmp_path / "a.csv").exists() and not (tmp_path / "a_feedback").exists()


def test_an_answer_that_the_grader_did_not_write_is_not_taken(course, tmp_path, monkeypatch):
    """A submission that can write to the output of the grading process does not know its key."""
    sources, _ = course
    forged = {"cells": [{"id": "counted", "earned": 100, "points": 100}], "notes": [], "flags": [], "errors": []}
    done = subprocess.CompletedProcess([], 0, json.dumps(forged), "")
    monkeypatch.setattr("minidl.course.grade.subprocess.run", lambda *a, **k: done)
    monkeypatch.setattr("minidl.course.grade._prove", lambda *a: None)
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "eve.ipynb").write_bytes(sources["A0"].read_bytes())
    (row,) = grade(tmp_path / "one", sources, tmp_path / "a.csv")
    assert row["marks"] == 0 and "look at this submission by hand" in row["notes"][0]


def test_the_commands(course, tmp_path, capsys, monkeypatch):
    sources, folder = course
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("minidl.cli.course.BLANKS", tmp_path / "blanks")
    root = str(sources["A0"].parents[1])
    assert cli.main(["course", "release", "A0", "--source", root, "--out", "out"]) == 0
    released = (tmp_path / "out" / "A0" / "A0_small.ipynb").read_bytes()
    (tmp_path / "blanks").mkdir()
    (tmp_path / "blanks" / "A0_small.ipynb").write_bytes(released)
    assert cli.main(["course", "list"]) == 0 and "2 exercises,  3 graded cells, 100 marks" in capsys.readouterr().out
    assert cli.main(["course", "get", "A0"]) == 0 and (tmp_path / "A0_small.ipynb").read_bytes() == released
    (tmp_path / "A0_small.ipynb").write_text("my work")
    assert cli.main(["course", "get", "a0"]) == 2 and (tmp_path / "A0_small.ipynb").read_text() == "my work"
    assert cli.main(["course", "check", "A0"]) == 2 and "cannot be read as JSON" in capsys.readouterr().err
    (tmp_path / "A0_small.ipynb").write_bytes((folder / "bob.ipynb").read_bytes())
    assert cli.main(["course", "check", "A0"]) == 1
    shown = capsys.readouterr().out
    assert "all visible checks pass for 80 of 100 marks" in shown and "sign is flipped" in shown
    assert cli.main(["course", "submit", "A0"]) == 0
    first = (tmp_path / "A0.zip").read_bytes()
    assert cli.main(["course", "submit", "A0"]) == 0 and (tmp_path / "A0.zip").read_bytes() == first
    (tmp_path / "handed").mkdir()
    os.replace(tmp_path / "A0.zip", tmp_path / "handed" / "bob.zip")
    assert cli.main(["course", "grade", "handed", "--source", root, "--jobs", "1"]) == 0
    assert "bob,A0,80,100" in (tmp_path / "grades.csv").read_text()
    (tmp_path / "empty").mkdir()
    (tmp_path / "A1.ipynb").write_text((tmp_path / "A0_small.ipynb").read_text().replace('"A0"', '"A1"'))
    for wrong, words in {
        "get A9": "there are A0", "submit A9": "there are A0", "check A0 --notebook x": "minidl course get A0 makes it",
        f"grade nowhere --out new.csv --source {root}": "is no folder",
        f"grade empty --out new.csv --source {root}": "empty is empty",
        "check A0 --notebook A1.ipynb": "is assignment A1, not A0", "submit A0 --notebook A1.ipynb": "is assignment A1",
    }.items():  # fmt: skip
        assert cli.main(["course", *wrong.split()]) == 2 and words in capsys.readouterr().err
    assert not (tmp_path / "new.csv").exists()
