"""What was handed in: finding the notebooks of each student in files, folders and archives, safely."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath

from . import notebook as nb

MOST = 20  # notebooks that are looked at for one student, and folders inside each other


@dataclass
class Submission:
    """One notebook of one student, or the reason why there is none."""

    student: str
    assignment: str = ""
    notebook: dict | None = None
    notes: list[str] = field(default_factory=list)
    file: str = ""


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
        student = printable(entry.name if entry.is_dir() else entry.stem)
        try:
            handed_in = list(_of_student(student, entry, sources))
        except Exception as error:  # one damaged entry must not cost the others their marks
            handed_in = [Submission(student, notes=[printable(f"{entry.name} cannot be read: {error}")])]
        for one in handed_in:
            first = found.setdefault((one.student, one.assignment), one)
            if first is not one:
                first.notes.append(f"handed in more than once: {first.file} is graded, {one.file} is not")
    return [found[key] for key in sorted(found)]


def _of_student(student: str, entry: Path, sources: dict[str, dict]) -> Iterator[Submission]:
    any_found = False
    within = f"{printable(entry.name)}/" if entry.is_dir() else ""
    for name, raw in islice(_files(entry), MOST):
        any_found = True
        try:
            notebook = nb.parse(raw, name)
        except nb.BadNotebook as error:
            yield Submission(student, notes=[str(error)], file=within + name)
            continue
        assignment = recognise(notebook, sources)
        notes = [] if assignment else [f"{name} belongs to none of the assignments {', '.join(sources)}"]
        yield Submission(student, assignment, notebook if assignment else None, notes, within + name)
    if not any_found:
        yield Submission(student, notes=[f"there is no notebook in {printable(entry.name)}"])


def recognise(notebook: dict, sources: dict[str, dict]) -> str:
    """The assignment that a notebook says it is, or with which it shares cells; empty if none."""
    said = nb.assignment(notebook)
    if said in sources:
        return said
    mine = {nb.identity(cell) for cell in notebook["cells"]} - {""}
    shared = {name: len(mine & {nb.identity(c) for c in nb.cells(s, "solution")}) for name, s in sources.items()}
    best = max(shared, key=shared.get, default="")
    return best if best and shared[best] else ""


def printable(text: str) -> str:
    """Text that every file and terminal can hold."""
    return "".join(c if c.isprintable() or c in "\n\t" else "?" for c in text)


def _files(entry: Path, depth: int = 0) -> Iterator[tuple[str, bytes]]:
    """(name, content) of every notebook in a file, a folder or an archive. Links are not followed."""
    name, kind = printable(entry.name), entry.suffix.lower()
    if entry.is_symlink() or depth > MOST:
        return
    if entry.is_dir():
        for path in sorted(entry.iterdir()):
            if not path.name.startswith((".", "__MACOSX")):
                yield from _files(path, depth + 1)
    elif not entry.is_file():
        return  # a pipe would be waited for
    elif kind == ".ipynb":
        with entry.open("rb") as file:
            yield name, file.read(nb.LARGEST + 1)
    elif kind == ".zip":
        with entry.open("rb") as file:
            yield from _members(name, file.read(4 * nb.LARGEST))


def _members(name: str, raw: bytes) -> Iterator[tuple[str, bytes]]:
    """The notebooks in an archive, read in memory: nothing is unpacked onto the disk."""
    left = 2 * nb.LARGEST
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        for member in sorted(archive.namelist()):
            parts = PurePosixPath(member).parts
            hidden = any(part.startswith((".", "__MACOSX")) for part in parts)
            if member.lower().endswith(".ipynb") and not hidden and left > 0:
                with archive.open(member) as file:
                    content = file.read(min(nb.LARGEST, left) + 1)
                left -= len(content)
                yield f"{name}/{printable(parts[-1])}", content


def pack(notebook: Path, archive: Path) -> None:
    """One notebook as a zip, the same bytes for the same notebook. Written beside and renamed."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(zipfile.ZipInfo(notebook.name), notebook.read_bytes(), zipfile.ZIP_DEFLATED)
    beside = archive.with_name(archive.name + ".part")
    beside.write_bytes(out.getvalue())
    beside.replace(archive)
