"""One self-contained HTML page for a run: scores, curves, translations, masks and predictions, configuration."""

from .page import write_report

__all__ = ["write_report"]
