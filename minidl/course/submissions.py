"""What was handed in: finding the notebooks of each student in files, folders and archives, safely."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from . import notebook as nb


@dataclass
class Submission:
    """One notebook of one student, or the reason why there is none."""

    student: str
    assignment: str = ""
    notebook: dict | None = None
    notes: list[str] = field(default_factory=list)


def collect(folder: str | Path, sources: dict[str, dict]) -> list[Submission]:
    """All submissions in a folder, ordered by student and assignment.

    Each entry is a student: maria.zip, maria.ipynb, or a folder maria/ with either somewhere inside, as learning
    platforms and nbgrader (submitted/maria/A6/...) lay them out. sources: the assignments, by name.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder: give the one that holds the submissions, one entry for each student")
    entries = sorted(p for p in folder.iterdir() if not p.name.startswith((".", "__MACOSX")))
    found: dict[tuple[str, str], Submission] = {}
    for entry in entries:
        student = "".join(c if c.isprintable() else "?" for c in (entry.name if entry.is_dir() else entry.stem))
        for one in _of_student(student, entry, sources):
            first = found.setdefault((one.student, one.assignment), one)
            if first is not one:
                first.notes.append(f"handed in more than once; graded is the first, not the one in {entry.name}")
    return [found[key] for key in sorted(found)]


def _of_student(student: str, entry: Path, sources: dict[str, dict]) -> Iterator[Submission]:
    any_found = False
    for name, raw in _files(entry):
        any_found = True
        try:
            notebook = nb.parse(raw, name)
        except nb.BadNotebook as error:
            yield Submission(student, notes=[str(error)])
            continue
        assignment = recognise(notebook, sources)
        notes = [] if assignment else [f"{name} belongs to none of the assignments {', '.join(sources)}"]
        yield Submission(student, assignment, notebook if assignment else None, notes)
    if not any_found:
        yield Submission(student, notes=[f"there is no notebook in {entry.name}"])


def recognise(notebook: dict, sources: dict[str, dict]) -> str:
    """The assignment that a notebook says it is, or with which it shares cells; empty if none."""
    said = nb.assignment(notebook)
    if said in sources:
        return said
    mine = {nb.identity(cell) for cell in notebook["cells"]} - {""}
    shared = {name: len(mine & {nb.identity(c) for c in nb.cells(s, "solution")}) for name, s in sources.items()}
    best = max(shared, key=shared.get, default="")
    return best if best and shared[best] else ""


def _files(entry: Path) -> Iterator[tuple[str, bytes]]:
    """(name, content) of every notebook in a file, a folder or an archive. Links are not followed."""
    if entry.is_symlink():
        return
    if entry.is_dir():
        for path in sorted(entry.iterdir()):
            if not path.name.startswith((".", "__MACOSX")):
                yield from _files(path)
    elif entry.suffix == ".ipynb":
        with entry.open("rb") as file:
            yield entry.name, file.read(nb.LARGEST + 1)
    elif entry.suffix == ".zip":
        with entry.open("rb") as file:
            yield from _members(entry.name, file.read(4 * nb.LARGEST))


def _members(name: str, raw: bytes) -> Iterator[tuple[str, bytes]]:
    """The notebooks in an archive, read in memory: nothing is unpacked onto the disk."""
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            for member in sorted(archive.namelist())[:1000]:
                parts = PurePosixPath(member).parts
                hidden = any(part.startswith((".", "__MACOSX")) for part in parts)
                if member.endswith(".ipynb") and not hidden:
                    with archive.open(member) as file:
                        yield f"{name}/{parts[-1]}", file.read(nb.LARGEST + 1)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError, ValueError) as error:
        yield name, f"damaged: {error}".encode()


def pack(notebook: Path, archive: Path) -> None:
    """One notebook as a zip, the same bytes for the same notebook. Written beside and renamed."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(zipfile.ZipInfo(notebook.name), notebook.read_bytes(), zipfile.ZIP_DEFLATED)
    beside = archive.with_name(archive.name + ".part")
    beside.write_bytes(out.getvalue())
    beside.replace(archive)
