"""Loss and validation while a model learns."""

from __future__ import annotations

import pyqtgraph as pg
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from tsain_core.finetuning.jobs.events import Event

_SMOOTHING = 0.9  # of the loss, which jumps from batch to batch


class Curves(QWidget):
    """Two plots over the steps: loss, and PSNR on held-out slices.

    Attributes
    ----------
    losses, validations : list of (step, value)
    untuned : float or None
        PSNR of the model that it started from, on the same slices; a dashed line.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._view = pg.GraphicsLayoutWidget()
        self._view.setBackground(None)
        self._view.setFixedHeight(240)
        self._view.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        pens = (pg.mkPen("#7fb3ff", width=2), pg.mkPen("#ffb86b", width=2))
        self._curves, self._plots = [], []
        for row, (label, pen) in enumerate(zip(("loss", "PSNR dB"), pens, strict=True)):
            plot = self._view.addPlot(row=row, col=0, enableMenu=False)
            self._plots.append(plot)
            plot.setMouseEnabled(x=False, y=False)
            plot.hideButtons()
            plot.setLabel("left", label)
            axis = plot.getAxis("left")
            axis.setWidth(60)
            axis.enableAutoSIPrefix(False)
            self._curves.append(plot.plot(pen=pen, symbol="o" if row else None, symbolSize=5))
        self._start = pg.InfiniteLine(angle=0, pen=pg.mkPen("#999999", style=Qt.PenStyle.DashLine))
        plot.addItem(self._start)
        self._view.setToolTip(
            "Below: PSNR in the grey levels that the verdict is in, on the slices that decide when "
            "to stop. The verdict is of other slices. Dashed: the model that it started from."
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._view)
        self.clear()

    def take_down(self) -> None:
        """Delete the plots with their menus, which are windows of their own to Qt."""
        for plot in self._plots:
            plot.close()

    def clear(self) -> None:
        """Forget everything: another job is looked at."""
        self.losses: list[tuple[int, float]] = []
        self.validations: list[tuple[int, float]] = []
        self.untuned: float | None = None
        self._smooth: float | None = None
        self._label("step")
        self._draw()

    def _label(self, text: str) -> None:
        """Write under the lower plot; pyqtgraph puts a new text into the middle only when told."""
        self._plots[1].setLabel("bottom", text)
        self._plots[1].getAxis("bottom").resizeEvent()

    def add(self, events: list[Event]) -> None:
        """Take what a job has said since the last time."""
        for event in events:
            if event["kind"] == "untuned":
                self.untuned = event["validation"]
                self.validations.append((0, event["validation"]))
            elif event["kind"] == "begun":
                first, last = event["stop"]
                self._label(f"step (PSNR: slices {first} to {last - 1})")
            if event["kind"] != "progress":
                continue
            if event["loss"] is not None:
                previous = event["loss"] if self._smooth is None else self._smooth
                self._smooth = _SMOOTHING * previous + (1 - _SMOOTHING) * event["loss"]
                self.losses.append((event["step"], self._smooth))
            if event["validation"] is not None:
                self.validations.append((event["step"], event["validation"]))
        if events:
            self._draw()

    def _draw(self) -> None:
        self._start.setVisible(self.untuned is not None)
        self._start.setValue(self.untuned or 0.0)
        for curve, points in zip(self._curves, (self.losses, self.validations), strict=True):
            curve.setData([x for x, _ in points], [y for _, y in points])
