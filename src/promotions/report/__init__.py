"""The report: a finished run goes in, one self-contained page for people comes out. No files, no network."""

from promotions.report.page import render
from promotions.report.run import Run

__all__ = ["Run", "render"]
