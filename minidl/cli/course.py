"""Assignments: get one, check it, hand it in; release them and grade what was handed in."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from ..course import notebook as nb
from ..course.examine import examine
from ..course.feedback import marks, text
from ..course.grade import grade, pages_of
from ..course.merge import blanks_left
from ..course.release import release, sources
from ..course.remote import PACKAGE, Limits
from ..course.submissions import pack

BLANKS = PACKAGE / "course" / "blanks"
SOURCES = PACKAGE.parent / "notebooks" / "assignments" / "source"  # in a clone; a wheel has no solutions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A command of each kind; the first four are the student's, the last two the instructor's."""
    commands = parser.add_subparsers(dest="what", required=True, metavar="what")

    def command(name: str, help: str, function) -> argparse.ArgumentParser:
        new = commands.add_parser(name, help=help, description=help)
        new.set_defaults(function=function)
        return new

    command("list", "the assignments, with their marks", _list)
    for name, help, function in (
        ("get", "write your blank copy of an assignment into this folder", _get),
        ("check", "run the visible checks on your notebook", _check),
        ("submit", "put your notebook into one zip to hand in", _submit),
        ("release", "make the students' copy of an assignment: without solutions and hidden tests", _release),
    ):
        command(name, help, function).add_argument("assignment", type=str.upper, help="such as A6")
    new = command("grade", "grade a folder with one entry for each student: a zip, a notebook or a folder", _grade)
    new.add_argument("submissions", metavar="SUBMISSIONS")
    jobs = max(1, (os.cpu_count() or 1) // 2)
    new.add_argument("--jobs", type=int, default=jobs, help="how many are graded at a time")
    new.add_argument("--seconds", type=float, default=Limits.seconds, help="the longest that one call may take")
    new.add_argument("--memory", type=int, default=Limits.megabytes, help="megabytes of one submission")
    for name in ("check", "submit"):
        commands.choices[name].add_argument("--notebook", metavar="FILE", help="the default is that of `get`")
    for name, out in (("get", "."), ("submit", "."), ("release", "release"), ("grade", "grades.csv")):
        kind = "the table" if name == "grade" else "the folder to write to"
        commands.choices[name].add_argument("--out", default=out, help=f"{kind}; the default is {out}")
    for name in ("release", "grade"):
        commands.choices[name].add_argument(
            "--source", default=SOURCES, metavar="FOLDER", help="the instructor's notebooks, as FOLDER/A6/*.ipynb"
        )


def run(args: argparse.Namespace) -> int:
    """Do what is asked. A name that the terminal cannot write must not end a run."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")
    return args.function(args)


def _list(args: argparse.Namespace) -> int:
    for path in _blanks().values():
        tests = list(nb.cells(notebook := nb.load(path), "test"))
        exercises = len(list(nb.cells(notebook, "solution")))
        total = sum(map(nb.points, tests))
        print(f"{nb.title(notebook):45} {exercises:2} exercises, {len(tests):2} graded cells, {total} marks")
    print("\nminidl course get A1 writes the first into this folder")
    return 0


def _get(args: argparse.Namespace) -> int:
    blank = _one(_blanks(), args.assignment)
    out = Path(args.out) / blank.name
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        with out.open("xb") as file:
            file.write(blank.read_bytes())
    except FileExistsError:
        raise ValueError(f"{out} is there already, perhaps with your work: move it, or choose another --out") from None
    print(f"{out}: open it in Jupyter, fill the blanks, then: minidl course check {args.assignment}")
    return 0


def _check(args: argparse.Namespace) -> int:
    blank, path = _one(_blanks(), args.assignment), _students(args)
    result = examine(nb.load(blank), _its_own(path, args.assignment))
    earned, points = marks(result)
    print(f"{path}: all visible checks pass for {earned} of {points} marks; hidden ones are run when it is graded")
    print(text(result))
    return 0 if earned == points else 1


def _submit(args: argparse.Namespace) -> int:
    blank, path = _one(_blanks(), args.assignment), _students(args)
    notebook = _its_own(path, args.assignment)
    for line in blanks_left(nb.load(blank), notebook):
        print(line)
    archive = Path(args.out) / f"{args.assignment}.zip"
    pack(path, archive)
    print(f"{archive}: hand in this file (what is right in it, minidl course check {args.assignment} says)")
    return 0


def _release(args: argparse.Namespace) -> int:
    source = _one(sources(args.source), args.assignment)
    out = Path(args.out) / args.assignment / source.name
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(nb.dump(release(nb.load(source))), encoding="utf-8", newline="\n")
    print(f"{out}: the students' copy of {source}, without solutions and hidden tests")
    return 0


def _grade(args: argparse.Namespace) -> int:
    if args.jobs < 1 or args.seconds <= 0 or args.memory < 256:
        raise ValueError("--jobs must be at least 1, --seconds more than 0, --memory at least 256")
    found = sources(args.source)
    if not found:
        raise ValueError(f"no assignments in {args.source}: give --source, the folder with A6/A6_name.ipynb in it")
    limits = Limits(args.seconds, args.memory)
    rows = grade(args.submissions, found, args.out, limits=limits, jobs=args.jobs, say=print)
    flagged, lost = sum(bool(row["flags"]) for row in rows), sum(not row["assignment"] for row in rows)
    unread = f", {lost} could not be graded" if lost else ""
    pages = pages_of(Path(args.out))
    print(f"{len(rows) - lost} graded, {flagged} flagged{unread}: {args.out}, and a page for each in {pages}")
    return 0


def _blanks() -> dict[str, Path]:
    return {path.name.partition("_")[0]: path for path in sorted(BLANKS.glob("*.ipynb"))}


def _one(found: dict[str, Path], name: str) -> Path:
    if name not in found:
        there = ", ".join(found) or "none here; in a clone of minidl they are in notebooks/assignments/source"
        raise ValueError(f"there is no assignment {name!r}: there are {there}")
    return found[name]


def _students(args: argparse.Namespace) -> Path:
    path = Path(args.notebook or _one(_blanks(), args.assignment).name)
    if not path.is_file():
        get = f"minidl course get {args.assignment} makes it"
        raise ValueError(f"there is no {path} here: {get}; if you have it elsewhere, give --notebook FILE")
    return path


def _its_own(path: Path, assignment: str) -> dict:
    notebook = nb.load(path)
    if (said := nb.assignment(notebook)) not in ("", assignment):
        raise ValueError(f"{path} is assignment {said}, not {assignment}")
    return notebook
