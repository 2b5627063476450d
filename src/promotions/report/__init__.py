"""The report: from a finished run to one self-contained page for people. No other files, no network."""

from promotions.report.page import render
from promotions.report.run import Run

__all__ = ["Run", "render"]
