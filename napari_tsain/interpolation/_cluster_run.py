"""A run on a Dask cluster: a process of its own steers it, which outlives napari."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from napari.utils import progress
from qtpy.QtCore import QObject, QTimer

from tsain_core.blockwise.detached import DetachedRun
from tsain_core.errors import TsainError
from tsain_core.interpolation.schedule import evaluations

from ._run import LayerRun, LayerSlot, SliceProgress, show_result
from ._worker_tasks import LayerRunPlan

if TYPE_CHECKING:
    import napari
    from napari.layers import Image

_LOOK = 1000  # milliseconds between two looks at the run


class ClusterRun(QObject):
    """Starts a command, watches its blocks, and opens the result.

    Parameters
    ----------
    viewer : napari.Viewer
    place : LayerSlot
    plan : LayerRunPlan
        With an output on disk.
    command : str
        The `tsain` command that does it.
    on_progress : callable (SliceProgress)
    on_end : callable (Image or None, Exception or None)
        As those of `LayerRun`.
    """

    def __init__(
        self,
        viewer: napari.Viewer,
        place: LayerSlot,
        plan: LayerRunPlan,
        command: str,
        on_progress: Callable[[SliceProgress], None],
        on_end: Callable[[Image | None, Exception | None], None],
    ) -> None:
        super().__init__()
        self._viewer, self._place, self._plan = viewer, place, plan
        self._on_progress, self._on_end = on_progress, on_end
        self._total = evaluations(plan.schedule, plan.choice.any_position)
        self._bar = progress(total=0, desc=f"Interpolating {place.layer.name} on the cluster")
        self._began, self._cancelled = time.perf_counter(), False
        self._run = DetachedRun(shlex.split(command)[1:], str(plan.output))
        self._timer = QTimer(self)
        self._timer.setInterval(_LOOK)
        self._timer.timeout.connect(self._look)
        self._timer.start()

    def cancel(self) -> None:
        """Interrupt the run; finished blocks are kept."""
        self._cancelled = True
        self._run.cancel()

    def abandon(self, viewer_stays: bool) -> None:
        """The dock is gone, or the viewer too: the run goes on."""
        self._timer.stop()
        self._bar.close()

    def _look(self) -> None:
        if not self._run.over:
            done, total = self._run.progress()
            seconds = time.perf_counter() - self._began
            share = done / total if total else 0.0
            left = seconds * (1 / share - 1) if share else float("inf")
            reached = share * self._total
            self._on_progress(SliceProgress(reached, self._total, reached / seconds, left))
            return
        self._timer.stop()
        self._bar.close()
        if self._cancelled:
            self._on_end(None, None)
            return
        try:
            self._run.check()
            self._on_end(show_result(self._viewer, self._place, self._plan), None)
        except TsainError as error:
            self._on_end(None, error)


#: What the dock steers.
AnyRun = LayerRun | ClusterRun
