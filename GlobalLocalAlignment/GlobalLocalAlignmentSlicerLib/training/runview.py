"""What the panel of the training shows of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import qt
from slicer.i18n import tr as _

from ..background.linetail import LineTail
from ..models.cardtext import duration
from .trainingcurves import chartTitles
from .trainingrun import TrainingRun

PROGRESS_STEPS = 1000
LOG_LINES = 200
"""Lines of the run's log that are taken at once."""

PREVIEW_WIDTHS = (240, 520)
"""Of a picture in pixels: it is as wide as the panel leaves it, so that the panel need not grow for it."""


def stageName(stage: str) -> str:
    """A stage as people read it."""
    names = {
        "prepare": _("reading cases"),
        "synthesis": _("stage one, synthesis"),
        "translation": _("translating slices"),
        "segmentation": _("stage two, segmentation"),
    }
    return names.get(stage, stage)


def statusText(run: TrainingRun) -> str:
    """What a run does, and what went wrong with it."""
    text = _statusText(run)
    warnings = [_("Warning: {text}").format(text=warning) for warning in run.state.warnings]
    return "\n".join([text, *(problem for problem in run.problems if problem not in text), *warnings])


def _statusText(run: TrainingRun) -> str:
    state, status = run.state, run.status
    if status == "preparing":
        if run.ofPrepared:
            return _("Reading cases: {done} of {of} ...").format(done=run.prepared, of=run.ofPrepared)
        return _("Starting ...")
    if status == "failed":
        return run.problems[-1] if run.problems else state.message or _("The training failed; see the log.")
    if status == "stopping":
        return _("Stopping after this iteration ...")
    where = _("{stage}: {iteration:g} of {of}").format(
        stage=stageName(state.stage), iteration=state.iteration, of=state.of
    )
    if status == "running":
        if state.secondsLeft is not None:
            where = _("{where}, {time} left in this stage").format(where=where, time=duration(state.secondsLeft))
        if state.rate:
            where = _("{where}, {rate:.2f} a second").format(where=where, rate=state.rate)
        return where
    said = {
        "finished": _("Finished: {folder} has the model.").format(folder=run.folder.name),
        "stopped": _("Stopped at {where}. It can be resumed.").format(where=where),
        "interrupted": _("Ended from outside at {where}. It can be resumed from its last checkpoint.").format(
            where=where
        ),
        "new": _("The run has not begun."),
    }
    newer = _("The run was written by a newer version: update the extension if something looks wrong.")
    return said.get(status, status) + (f"\n{newer}" if state.newer else "")


class RunView:
    """Shows a run in the widgets of the panel.

    Args:
        ui: the panel's widgets by name.
    """

    def __init__(self, ui: Any) -> None:
        self.ui = ui
        self._folder: Path | None = None
        self._log: LineTail | None = None
        self._picture: tuple[Path, float, int] | None = None
        for key, title in chartTitles().items():
            ui.chartComboBox.addItem(title, key)

    def show(self, run: TrainingRun | None, busy: bool) -> None:
        """Show what is known of a run, or that there is none."""
        ui = self.ui
        ui.progressBar.visible = busy
        if run is None:
            ui.statusLabel.text = ""
            ui.valuesLabel.text = ""
            ui.previewLabel.clear()
            self._folder = None
            return
        if run.folder != self._folder:
            self._folder, self._picture = run.folder, None
            ui.previewComboBox.clear()
            ui.previewLabel.clear()
            ui.logText.clear()
            self._log = LineTail(run.folder / "log.txt")
        state = run.state
        ui.statusLabel.text = statusText(run)
        share = state.iteration / state.of if state.of else 0.0
        ui.progressBar.value = round(PROGRESS_STEPS * min(share, 1.0))
        ui.valuesLabel.text = self._values(run)
        for line in self._log.read(LOG_LINES):
            ui.logText.appendPlainText(line)
        self._showPicture(run)

    def _values(self, run: TrainingRun) -> str:
        """Newest value of each curve of the stage."""
        curves = run.state.curves.get(run.state.stage, {})
        device = [_("on {device}").format(device=run.state.device)] if run.state.device else []
        newest = (f"{name.replace('_', ' ')} {curve[-1][1]:.3g}" for name, curve in curves.items() if curve)
        return ", ".join([*device, *newest])

    def _showPicture(self, run: TrainingRun) -> None:
        """Newest picture of the stage that is chosen; of the newest stage where the user has chosen none."""
        ui, previews = self.ui, run.state.previews
        for stage in previews:
            if ui.previewComboBox.findData(stage) < 0:
                ui.previewComboBox.addItem(stageName(stage), stage)
                ui.previewComboBox.setCurrentIndex(ui.previewComboBox.findData(stage))
        path = previews.get(ui.previewComboBox.itemData(ui.previewComboBox.currentIndex))
        if path is None or not path.is_file():
            return
        width = min(max(ui.previewLabel.width, PREVIEW_WIDTHS[0]), PREVIEW_WIDTHS[1])
        picture = (path, path.stat().st_mtime, width)
        if picture == self._picture:
            return
        pixels = qt.QPixmap(str(path))
        if not pixels.isNull():
            self._picture = picture
            ui.previewLabel.setPixmap(pixels.scaledToWidth(width, qt.Qt.SmoothTransformation))
            ui.previewLabel.setToolTip(str(path))
