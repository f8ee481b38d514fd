"""Marks as text for a terminal and as a page for a student."""

from __future__ import annotations

import html

from .submissions import printable

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; } td, th { padding: .3rem .9rem .3rem 0; text-align: left; vertical-align: top; }
tr { border-bottom: 1px solid #ddd; } .n { text-align: right; } .lost { color: #a33; }
pre { background: #f6f6f6; padding: .8rem 1rem; white-space: pre-wrap; overflow-wrap: anywhere; font-size: 14px; }
"""


def marks(result: dict) -> tuple[int, int]:
    """(earned, of)."""
    return sum(c["earned"] for c in result["cells"]), sum(c["points"] for c in result["cells"])


def text(result: dict) -> str:
    """What `minidl course check` prints: a line for each graded cell, then what is wrong; errors of cells first."""
    lines, told = [], []
    for cell in result["cells"]:
        blank = BLANK if BLANK in cell["text"] else _passes(cell)
        lines.append(f"  {cell['earned']:3} of {cell['points']:3}  {cell['title']} ({blank})")
        if cell["earned"] < cell["points"] and BLANK not in cell["text"]:
            told += ["", *cell["text"].splitlines()]
    said = {what: [f"{title}: {line}" for line in result[what]] for what, title in TITLES.items()}
    lines += [""] * bool(said["errors"]) + said["errors"] + told
    for what in ("notes", "flags"):
        lines += [""] * bool(said[what]) + said[what]
    return printable("\n".join(lines))


BLANK = "nothing is written here yet"
TITLES = {"errors": "error in a cell", "notes": "note", "flags": "not allowed"}


def page(student: str, name: str, result: dict) -> str:
    """What a student gets back: complete, without scripts, and the same bytes for the same marks."""
    earned, points = marks(result)
    head = f"{name}: {earned} of {points} marks"
    rows = [
        f"<tr{'' if c['earned'] else ' class=lost'}><td>{_safe(c['title'])}<td class=n>{c['earned']} of {c['points']}"
        f"<td>{_passes(c)}"
        for c in result["cells"]
    ]
    said = [
        f"<h2>{_safe(c['title'])}</h2>\n<pre>{_safe(c['text'])}</pre>"
        for c in result["cells"] if c["earned"] < c["points"]
    ]  # fmt: skip
    other = [f"<li>{TITLES[what]}: {_safe(line)}" for what in TITLES for line in result[what]]
    return "\n".join(
        ["<!doctype html>", '<html lang="en"><meta charset="utf-8">', f"<title>{_safe(head)}</title>",
         f"<style>{STYLE}</style>", f"<h1>{_safe(head)}</h1>", f"<p>{_safe(student)}</p>",
         "<table><tr><th>Graded cell<th class=n>Marks<th>Checks", *rows, "</table>", *said,
         *(["<h2>Notes</h2>", "<ul>", *other, "</ul>"] if other else []), "</html>", ""]
    )  # fmt: skip


def _passes(cell: dict) -> str:
    (passed, of), (unseen, hidden) = cell["visible"], cell["hidden"]
    if not of:
        return "not checked"
    return f"{passed} of {of} visible checks pass" + (f", {unseen} of {hidden} hidden" if hidden else "")


def _safe(value: str) -> str:
    return html.escape(printable(value))
