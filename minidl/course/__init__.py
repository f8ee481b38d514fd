"""Assignments: the checks in their notebooks, the blank copies, and the grader.

In a notebook only `checks` and `probe` are used. The commands `minidl course ...` use the rest.
"""

from .checks import CheckFailed, Checks, VacuousCheck, checks
from .probe import probe

__all__ = ["CheckFailed", "Checks", "VacuousCheck", "checks", "probe"]
