"""What a submission should not use, found by reading it. What it tries while it runs, worker.py finds."""

from __future__ import annotations

import ast

from . import notebook as nb
from .worker import FOREIGN


def suspects(cells: list[dict]) -> list[str]:
    """Imports of frameworks in the student's cells, and of minidl in the answers, with their places."""
    found = []
    for cell in cells:
        if nb.role(cell) not in ("solution", "extra"):
            continue
        try:
            tree = ast.parse(nb.source(cell))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue  # it is told when it runs
        for node in ast.walk(tree):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module or ''}.{a.name}" for a in node.names]
            for name in names:
                package = name.partition(".")[0]
                harmless = name.startswith("minidl.course") or (package == "minidl" and nb.role(cell) == "extra")
                if package in FOREIGN and not harmless:
                    found.append(f"imports {name} (cell '{nb.identity(cell)}', line {node.lineno})")
    return found
