"""Proofs and diagnosis: the gradient checker, and the table of everything it is run on."""

from .gradcheck import gradcheck, gradcheck_pair
from .report import Finding, GradcheckError, Report, Result
from .values import compare_value

__all__ = ["Finding", "GradcheckError", "Report", "Result", "compare_value", "gradcheck", "gradcheck_pair"]
