"""What of the damaged slices is replaced: all, the damaged parts, or what a layer marks."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QComboBox

from ..layers.layer_listener import LayerListener
from ..layers.provenance import HELPER_KEY
from ..widgets.closing import Closing
from ..widgets.source_form import SourceForm
from ._parts import Parts, parts_of_layer
from ._selection_form import Mode, SelectionForm

if TYPE_CHECKING:
    import napari


class Pixels(Enum):
    """Choices that are no layer; their values are what the user reads."""

    WHOLE = "whole slices"
    FOUND = "damaged parts of them"


_CALM = 150  # milliseconds without a change before a layer is looked at


class PartsForm(QComboBox):
    """Chooses the pixels to replace; one row of the page "Replace".

    Parameters
    ----------
    viewer : napari.Viewer
    source : SourceForm
        The stack.
    form : SelectionForm
        Where the slices to replace are written; this widget is added to its page.

    Attributes
    ----------
    changed : Signal
        Other pixels are chosen.
    """

    changed = Signal()

    def __init__(self, viewer: napari.Viewer, source: SourceForm, form: SelectionForm) -> None:
        super().__init__(form)
        self._viewer, self._source, self._selection = viewer, source, form
        self.setToolTip(
            "Whole slices; only where they differ from their neighbours; or only what a Labels or "
            "Shapes layer marks. All other pixels stay as they are"
        )
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(10)
        form.replace_page.insertRow(1, "replace", self)
        self._listener = LayerListener(
            ("data", "paint", "labels_update", "name"), self._layer_changed
        )
        # a stroke of the brush is many events
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(_CALM)
        self._soon.timeout.connect(self.changed)
        Closing(self).stack.callback(self._listener.stop)
        self.refresh()
        self.currentIndexChanged.connect(self._chosen)

    @property
    def layer(self) -> Any:
        """The Labels or Shapes layer that is chosen; None where none is."""
        chosen = self.currentData()
        return None if isinstance(chosen, Pixels) else chosen

    @property
    def parts(self) -> Parts | None:
        """What is to be computed; None for whole slices.

        Raises
        ------
        TsainError
            If nothing is marked, or the layer does not fit the stack.
        """
        form, image = self._selection, self._source.layer
        if form.mode is not Mode.REPLACE or image is None:
            return None
        if self.currentData() is Pixels.WHOLE:
            return None
        if self.currentData() is Pixels.FOUND:
            return Parts(form.damaged_slices())
        whole = form.damaged_slices() if form.damaged.text().strip() else ()
        return parts_of_layer(self.layer, image, self._source.z_axis, self._source.index, whole)

    def refresh(self) -> None:
        """Layers came, went, or were renamed: the chosen one stays chosen if it is there."""
        from napari.layers import Labels, Shapes

        before = self.currentData()
        self.blockSignals(True)
        self.clear()
        for choice in Pixels:
            self.addItem(choice.value, choice)
        for layer in self._viewer.layers:
            if isinstance(layer, Labels | Shapes) and not layer.metadata.get(HELPER_KEY):
                self.addItem(layer.name, layer)
        there = [self.itemData(i) for i in range(self.count())]
        self.setCurrentIndex(there.index(before) if before in there else 0)
        self.blockSignals(False)
        if self.currentData() is not before:
            self._chosen()

    def _chosen(self, _: Any = None) -> None:
        self._listener.listen(self.layer)
        self.changed.emit()

    def _layer_changed(self, event: Any) -> None:
        if event.type == "name":
            self.refresh()
        else:
            self._soon.start()
