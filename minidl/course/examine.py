"""One submission, from a file to marks. `python -m minidl.course.examine` does it in a process of its own.

The submission's cells run in a second process (remote.py). The tests run here, outside it: they get data from it, and
nothing it defines or changes is ever run here.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import io
import json
import sys

from . import notebook as nb
from .checks import CheckFailed, Checks, VacuousCheck
from .explain import Ended
from .merge import merge
from .release import HIDDEN, release
from .remote import Limits, RemoteError, Session
from .suspects import suspects

PATIENCE = 6  # a graded cell may take this many times as long as one call


def examine(source: dict, submission: dict, limits: Limits | None = None) -> dict:
    """The marks of a submission as plain data.

    source: the instructor's notebook, or a released one, which has no hidden checks. Returns {"cells": [{"id", "title",
    "points", "earned", "visible": [passed, of], "hidden": [passed, of], "text"}], "notes", "flags", "errors"}.

    Two passes, each in a new process: what the student reads about visible checks and errors comes from the first,
    which never sees hidden data and so cannot tell them; the marks come from the second.
    """
    limits, handed_out = limits or Limits(), release(source)
    cells, notes = merge(source, submission)
    graded, errors, flags = _pass(handed_out, submission, limits)
    if _has_hidden(source):
        marked, _, more = _pass(source, submission, limits)
        for cell, shown in zip(marked, graded, strict=True):
            if shown["earned"] < shown["points"]:
                cell["text"] = shown["text"]
        graded, flags = marked, flags + more
    read = suspects(cells)
    tried = [flag for flag in dict.fromkeys(flags) if not any(known.startswith(flag) for known in read)]
    return {"cells": graded, "notes": notes, "flags": read + tried, "errors": errors}


def nothing(cell: dict, why: str = "") -> dict:
    """A graded cell that earns nothing."""
    name = nb.identity(cell)
    text = f"{name}: {why}" if why else ""
    return {"id": name, "title": name, "points": nb.points(cell), "earned": 0, "visible": [0, 0], "hidden": [0, 0],
            "text": text}  # fmt: skip


def _pass(source: dict, submission: dict, limits: Limits) -> tuple[list[dict], list[str], list[str]]:
    """(graded cells, errors of other cells, flags)."""
    names, modules, secret, graded, errors = _defined(source), _modules(source), _has_hidden(source), {}, []
    left = PATIENCE * limits.seconds  # for all cells of the student's own; what comes after that is not run
    with Session(limits) as session:
        for cell in merge(source, submission)[0]:
            name, kind = nb.identity(cell), nb.role(cell)
            session.allow({"test": PATIENCE * limits.seconds, "extra": left}.get(kind, limits.seconds))
            if kind == "extra" and left <= 0:
                continue
            if kind == "test":
                graded[name] = _graded(cell, names, modules, session, secret)
                continue
            try:
                session.run(name, nb.source(cell))
            except Ended as error:
                errors.append(f"cell {name}: {error}")
            except RemoteError as error:
                text = f": {error}" if str(error) else ""
                errors.append(f"{error.where or 'cell ' + name}: {error.names[0]}{text}"[:500])
            if kind == "extra":
                left = session.left
        return [graded[nb.identity(cell)] for cell in nb.cells(source, "test")], errors[:20], session.flags


def _graded(cell: dict, names: set[str], modules: str, session: Session, secret: bool) -> dict:
    """Run a test cell, and say what it found."""
    text = nb.source(cell)
    space: dict = {"__name__": "__main__", "__builtins__": builtins}
    exec(modules, space)
    wanted = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)} & names
    problem, passed = "", False
    try:
        space.update(session.get(sorted(wanted)))
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(text, f"<{nb.identity(cell)}>", "exec", dont_inherit=True), space)
        passed = True
    except CheckFailed:
        pass
    except Ended as error:
        problem = str(error)
    except VacuousCheck:
        problem = "it could not be checked: something that was given has been changed"
    except Exception as error:
        problem = f"it could not be checked ({type(error).__name__}): what was asked for is something else altogether"
    t = space.get("t")
    if not isinstance(t, Checks) or problem:
        return nothing(cell, problem or "no checks")
    earned = nb.points(cell) if passed else 0
    return {
        **nothing(cell), "title": t.title, "earned": earned, "text": "\n".join(t.lines(secret)),
        "visible": list(t.counts(hidden=False)), "hidden": list(t.counts(hidden=True)),
    }  # fmt: skip


def _has_hidden(source: dict) -> bool:
    return any(HIDDEN[0] in nb.source(cell) for cell in nb.cells(source, "test"))


def _defined(source: dict) -> set[str]:
    """What the given and the solution cells define: the tests find it in the submission's process."""
    names: set[str] = set()
    for cell in nb.cells(source, "given", "solution"):
        for node in ast.parse(nb.source(cell)).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                names.add(node.name)
            else:
                stored = (n for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))
                names.update(n.id for n in stored)
    return names


def _modules(source: dict) -> str:
    """The imports of the given cells, which the tests use too."""
    found = []
    for cell in nb.cells(source, "given"):
        body = ast.parse(nb.source(cell)).body
        found += [ast.unparse(node) for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    return "\n".join(found)


def main() -> None:
    """Reads {"source", "submission", "limits", "key"} from standard input and prints the marks, with the key.

    The key is not known to the submission's process: what that may write to this process's output is told apart.
    """
    task = json.load(sys.stdin)
    limits = Limits(**{**task["limits"], "closed": tuple(task["limits"]["closed"])})
    json.dump({**examine(task["source"], task["submission"], limits), "key": task["key"]}, sys.stdout)


if __name__ == "__main__":
    main()
