"""The list of damaged slices: found by an inspection, or marked by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from tsain_core.errors import TsainError
from tsain_core.inspection import Finding, Inspection, Looked, inspect_stack

from ..layers.synthetic_notice import watch
from ..layers.view import shows_slices
from ..widgets.closing import Closing
from ..widgets.source_form import SourceForm
from ..widgets.wording import in_dock_words
from ..widgets.worker import JobQueue
from ._selection_form import SelectionForm

if TYPE_CHECKING:
    import napari

_ROWS = 4  # rows that are seen at once
_Z = Qt.ItemDataRole.UserRole


class DamageList(QWidget):
    """Finds damaged slices of the chosen stack and lists them; ticked ones are replaced.

    Parameters
    ----------
    viewer : napari.Viewer
    source : SourceForm
        The stack, and the way to a slice of it.
    form : SelectionForm
        Where the slices to replace are written; this widget is added to its page.
    say : callable (text)
        Shows what the inspection does.
    """

    def __init__(
        self,
        viewer: napari.Viewer,
        source: SourceForm,
        form: SelectionForm,
        say: Callable[[str], None],
    ) -> None:
        super().__init__(form)
        self._say = say
        self._viewer, self._source, self._form = viewer, source, form
        self._queue = JobQueue()
        self._stack: Any = None
        self._found: dict[int, Finding] = {}
        self._replaceable: set[int] = set()
        self.look = QPushButton("Find damaged")
        self.look.clicked.connect(self._clicked)
        self.dismiss = QPushButton("Dismiss")
        self.dismiss.setToolTip("The chosen slice is sound: take it out of the list")
        self.dismiss.clicked.connect(self._dismiss)
        self.list = QListWidget()
        self.list.itemChanged.connect(self._ticked)
        self.list.currentItemChanged.connect(self._chosen)
        row = QHBoxLayout()
        row.addWidget(form.mark, 1)
        row.addWidget(self.look, 1)
        row.addWidget(self.dismiss)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row)
        layout.addWidget(self.list)
        form.replace_page.addRow(self)
        form.changed.connect(self._show)
        self._notice = watch(viewer)
        self._notice.also[self] = self._line
        stack = Closing(self).stack
        stack.callback(self._queue.abandon)
        stack.callback(self._notice.also.pop, self, None)
        self._running(False)
        self._show()

    def stack_changed(self) -> None:
        """Findings in another stack are forgotten."""
        layer = self._source.layer
        stack = (layer and layer.unique_id, self._source.z_axis, self._source.index)
        if stack != self._stack:
            self._stack = stack
            self._queue.cancel()
            self._found, self._replaceable = {}, set()
            self._show()

    def _clicked(self) -> None:
        if self._queue.busy:
            self._queue.cancel()
            return
        try:
            volume = self._source.stack()
        except TsainError as error:
            self._say(in_dock_words(error))
            return
        self._running(True)
        self._queue.start(
            lambda: inspect_stack(volume),
            on_event=self._progress,
            on_done=self._arrived,
            on_error=self._failed,
            on_cancel=lambda: self._ended("Stopped; no slice was marked."),
        )

    def _progress(self, event: Looked) -> None:
        self._say(f"Looking for damaged slices: {event.done} of {event.total}")

    def _failed(self, error: Exception) -> None:
        self._ended(in_dock_words(error) if isinstance(error, TsainError) else str(error))

    def _arrived(self, inspection: Inspection) -> None:
        marked = set(self._form.damaged_or_none())
        self._found = {f.z: f for f in inspection.findings}
        self._replaceable = set(inspection.damaged)
        self._form.set_damaged(marked | self._replaceable)
        count = len(self._found)
        self._ended(f"{count or 'No'} damaged slice{'s' if count != 1 else ''} found.")

    def _ended(self, text: str) -> None:
        self._running(False)
        self._say(text)

    def _running(self, running: bool) -> None:
        self.look.setText("Stop looking" if running else "Find damaged")
        self.look.setToolTip(
            "Stop; nothing is marked"
            if running
            else "Compare each slice with its neighbours; what is found is listed and marked"
        )

    def _show(self) -> None:
        """List what was found and what was marked by hand; those to be replaced are ticked."""
        marked = set(self._form.damaged_or_none())
        chosen = self._chosen_z()
        self.list.blockSignals(True)
        self.list.clear()
        for z in sorted(marked | self._found.keys()):
            item = QListWidgetItem(self._words(z))
            item.setData(_Z, z)
            item.setToolTip(self._reason(z))
            if z in marked or z in self._replaceable or z not in self._found:
                state = Qt.CheckState.Checked if z in marked else Qt.CheckState.Unchecked
                item.setCheckState(state)
            self.list.addItem(item)
            if z == chosen:
                self.list.setCurrentItem(item)
        self.list.blockSignals(False)
        count = self.list.count()
        line = max(self.list.sizeHintForRow(0), 1)
        self.list.setFixedHeight(min(count, _ROWS) * line + 2 * self.list.frameWidth())
        self.list.setVisible(count > 0)
        self.dismiss.setVisible(count > 0)
        self._notice.update()

    def _words(self, z: int) -> str:
        finding = self._found.get(z)
        return f"{z}  {finding.kind}, {finding.severity:.2f}" if finding else f"{z}  marked by hand"

    def _reason(self, z: int) -> str:
        finding = self._found.get(z)
        if finding is None:
            return "Take the tick away to keep the slice as it is"
        if z in self._replaceable:
            return f"{finding.reason}. Ticked slices are replaced."
        return f"{finding.reason}. Replacing the slice does not mend this."

    def _chosen_z(self) -> int | None:
        item = self.list.currentItem()
        return None if item is None else int(item.data(_Z))

    def _chosen(self, item: QListWidgetItem | None, _: Any = None) -> None:
        if item is not None:
            self._source.go_to(int(item.data(_Z)))

    def _ticked(self, item: QListWidgetItem) -> None:
        z = int(item.data(_Z))
        marked = set(self._form.damaged_or_none())
        ticked = item.checkState() == Qt.CheckState.Checked
        self._form.set_damaged(marked | {z} if ticked else marked - {z})

    def _dismiss(self) -> None:
        z = self._chosen_z()
        if z is None:
            self._say("Choose a slice in the list first; then dismiss it.")
            return
        self._found.pop(z, None)
        self._form.set_damaged(set(self._form.damaged_or_none()) - {z})

    def _line(self) -> str:
        """What the canvas says of the slice on screen."""
        layer = self._source.layer
        if self._form.mode != "Replace" or layer is None or layer.ndim < 3 or not layer.visible:
            return ""
        if not shows_slices(self._viewer, layer, self._source.z_axis):
            return ""
        z = self._source.here
        if z in self._form.damaged_or_none():
            kind = f" ({self._found[z].kind})" if z in self._found else ""
            return f"Slice {z} is to be replaced{kind}"
        if z in self._found:
            return f"Slice {z}: {self._found[z].kind}"
        return ""
