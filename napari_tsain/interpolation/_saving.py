"""Saving a result with its scale and marks, beside the window's work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QFileDialog, QWidget

from ..io import KINDS, cautions, save_layer
from ..layers.provenance import HELPER_KEY, stated_marks
from ..widgets.worker import JobQueue
from ._output import check_place

if TYPE_CHECKING:
    import napari
    from napari.layers import Image


class ResultSaver:
    """Writes the last result, or a selected layer that has computed slices.

    Parameters
    ----------
    viewer : napari.Viewer
    say : callable (str)
        Told in a line how far it is.
    progress : callable (float or None)
        Told which share is written; None when nothing is.
    failed : callable (Exception)
    """

    def __init__(
        self,
        viewer: napari.Viewer,
        say: Callable[[str], None],
        progress: Callable[[float | None], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self._viewer, self._say, self._tell, self._failed = viewer, say, progress, failed
        self._queue = JobQueue()
        self.last: Image | None = None
        #: Which share of a file is written; None when none is being written.
        self.share: float | None = None

    @property
    def layer(self) -> Image | None:
        """The layer that would be saved; None if there is no result."""
        active = self._viewer.layers.selection.active
        if active is not None and _is_result(active):
            return active  # type: ignore[no-any-return]
        if self.last is not None and self.last in self._viewer.layers:
            return self.last
        return next((layer for layer in reversed(self._viewer.layers) if _is_result(layer)), None)

    def ask(self, parent: QWidget) -> None:
        """Ask where to, then save."""
        layer = self.layer
        if layer is None:
            return
        kinds = {f"{title} (*{ending})": ending for ending, title in KINDS.items()}
        proposed = "".join(c if c.isalnum() or c in "-_" else "_" for c in layer.name).strip("_")
        name, kind = QFileDialog.getSaveFileName(
            parent, f"Save {layer.name}", f"{proposed}{next(iter(KINDS))}", ";;".join(kinds)
        )
        if name:
            self.save(layer, with_ending(Path(name), kinds.get(kind, ".zarr")))

    def save(self, layer: Any, path: Path) -> None:
        """Save a layer in a thread; an existing file is replaced when the new one is complete."""
        try:
            check_place(path)
        except ValueError as error:
            self._failed(error)
            return
        words = " ".join(cautions(layer))
        self._say(f"Saving {path.name} ...")
        self._progress(0.0)

        def done(_: Any) -> None:
            self._progress(None)
            self._say(f"Saved: {path}. {words}".strip())

        self._queue.start(
            lambda: save_layer(path, layer),
            on_event=lambda event: self._progress(event[0] / event[1]),
            on_done=done,
            on_error=self._broke,
            on_cancel=self._stopped,
        )

    def cancel(self) -> None:
        """Stop after the slice that is being written; nothing is left behind."""
        self._queue.cancel()

    def abandon(self) -> None:
        """The dock is gone."""
        self._queue.abandon()

    def _progress(self, share: float | None) -> None:
        self.share = share
        self._tell(share)

    def _broke(self, error: Exception) -> None:
        self._progress(None)
        self._failed(error)

    def _stopped(self) -> None:
        self._progress(None)
        self._say("Saving was cancelled; nothing was kept.")


def with_ending(path: Path, ending: str) -> Path:
    """The path, with the ending unless it has one of ours."""
    known = any(path.name.lower().endswith(one) for one in (*KINDS, ".tif", ".tiff", ".hdf5"))
    return path if known else path.with_name(path.name + ending)


def _is_result(layer: Any) -> bool:
    """Whether a layer has computed slices, or had."""
    return bool(stated_marks(layer).marked) and not layer.metadata.get(HELPER_KEY)
