"""Releasing: what is taken out, what is refused, and the same bytes every time."""

import course_mini as mini
import pytest

from minidl.course import notebook as nb
from minidl.course.release import release


@pytest.fixture
def source(tmp_path):
    return mini.source(tmp_path)


def test_solutions_hidden_tests_and_outputs_go_and_the_rest_stays(source):
    code = [cell for cell in source["cells"] if cell["cell_type"] == "code"]
    code[0]["outputs"], code[0]["execution_count"] = [{"output_type": "stream", "name": "stdout", "text": ["42"]}], 7
    out = release(source)
    texts = {nb.identity(cell): nb.source(cell) for cell in out["cells"]}
    assert texts["counter"].count("        # YOUR CODE HERE\n        raise NotImplementedError()") == 2
    assert "self.total" not in texts["counter"] and '"""Adds up f of what it is given."""' in texts["counter"]
    assert "one row" not in texts["affine_out"] and '"two rows"' in texts["affine_out"]
    assert all(not c["outputs"] and c["execution_count"] is None for c in out["cells"] if c["cell_type"] == "code")
    assert [nb.role(a) for a in out["cells"]] == [nb.role(b) for b in source["cells"]]
    for cell in nb.cells(out, "test", "given"):
        assert cell["metadata"]["editable"] is False and cell["metadata"]["deletable"] is False


def test_a_release_is_stable_and_a_release_of_it_is_the_same(source):
    once = nb.dump(release(source))
    assert once == nb.dump(release(source)) == nb.dump(release(release(source)))


@pytest.mark.parametrize(
    "change, message",
    [
        (("    ### END SOLUTION\n\n\ndef affine_b", "\n\ndef affine_b"), "'affine'.*do not come in pairs"),
        (("        self.total = self.total + self.f(value)\n        return self\n        ### END SOLUTION", ""),
         "'counter'.*without ### END SOLUTION"),
        (("    ### BEGIN HIDDEN TESTS\n    t.hide()\n    one", "    one"), "'affine_out'.*do not come in pairs"),
        (("x = np.array([1.0", "### BEGIN SOLUTION\n    x = np.array([1.0"), "test cell 'counted' holds a solution"),
        (("print(affine", "### BEGIN HIDDEN TESTS\nprint(affine"), "show cell '' holds"),
    ],
)  # fmt: skip
def test_what_would_be_handed_out_is_refused(source, change, message):
    with pytest.raises(ValueError, match=message):
        release(mini.changed(source, change))


def test_a_solution_cell_without_a_solution_is_refused(source):
    cells = [nb.with_source(c, "x = 1") if nb.identity(c) == "counter" else c for c in source["cells"]]
    with pytest.raises(ValueError, match="'counter' has no ### BEGIN SOLUTION: it would be handed out"):
        release({**source, "cells": cells})


def test_two_cells_of_one_name_are_refused(source):
    with pytest.raises(ValueError, match="two cells are called 'affine_out'"):
        release({**source, "cells": [*source["cells"], *nb.cells(source, "test")]})


@pytest.mark.parametrize(
    "raw, message",
    [
        (b"", "cannot be read as JSON"),
        (b"\xff\xfe", "cannot be read as JSON"),
        (b"[" * 100_000, "cannot be read as JSON"),
        (b"[]", "format 4"),
        (b'{"worksheets": []}', "format 4"),
        (b'{"cells": [1]}', "format 4"),
        (b'{"cells": [{"cell_type": "code"}]}', "format 4"),
        (b'{"cells": [{"cell_type": "code", "source": [1]}]}', "format 4"),
        (b'{"cells": [{"cell_type": "code", "source": "", "metadata": []}]}', "format 4"),
    ],
)
def test_what_is_no_notebook_is_told(raw, message):
    with pytest.raises(nb.BadNotebook, match=rf"a\.ipynb.*{message}"):
        nb.parse(raw, "a.ipynb")


def test_odd_metadata_does_no_harm():
    for odd in ('{"nbgrader": 3}', '{"nbgrader": {"grade_id": 3, "solution": "x"}}', '{"tags": 3}', "{}"):
        text = f'{{"cells": [{{"cell_type": "code", "source": "", "metadata": {odd}}}], "metadata": {{"minidl": 1}}}}'
        notebook = nb.parse(text.encode(), "a.ipynb")
        assert nb.role(notebook["cells"][0]) in ("extra", "solution") and nb.assignment(notebook) == ""
        assert nb.identity(notebook["cells"][0]) == ""
