"""Which Labels layer goes along with the stack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QFormLayout, QWidget

from ..layers.provenance import HELPER_KEY
from ..widgets.source_form import SourceForm
from ._parts import Along, stack_of_labels

if TYPE_CHECKING:
    import napari

_NONE = "none"


class LabelsForm(QWidget):
    """Chooses a Labels layer; is seen while there is one.

    Parameters
    ----------
    viewer : napari.Viewer
    source : SourceForm
        The stack.

    Attributes
    ----------
    changed : Signal
        Another layer is chosen.
    """

    changed = Signal()

    def __init__(self, viewer: napari.Viewer, source: SourceForm) -> None:
        super().__init__()
        self._viewer, self._source = viewer, source
        self.box = QComboBox()
        self.box.setToolTip(
            "A Labels layer of the stack: is interpolated with it, by the shapes of the objects"
        )
        self.box.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.box.setMinimumContentsLength(10)
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("labels", self.box)
        self.refresh()
        self.box.currentIndexChanged.connect(lambda _: self.changed.emit())

    @property
    def layer(self) -> Any:
        """The chosen layer; None where none is."""
        return self.box.currentData()

    @property
    def along(self) -> Along | None:
        """The labels of the stack; None where no layer is chosen.

        Raises
        ------
        TsainError
            If the layer does not fit the stack.
        """
        layer, image = self.layer, self._source.layer
        if layer is None or image is None:
            return None
        data = stack_of_labels(layer, image, self._source.z_axis, self._source.index)
        return Along(data, layer.name, str(layer.source.path or ""))

    def refresh(self) -> None:
        """Layers came, went, or were renamed: the chosen one stays chosen if it is there."""
        from napari.layers import Labels

        before = self.layer
        self.box.blockSignals(True)
        self.box.clear()
        self.box.addItem(_NONE)
        for layer in self._viewer.layers:
            if isinstance(layer, Labels) and not layer.metadata.get(HELPER_KEY):
                self.box.addItem(layer.name, layer)
                if layer == before:
                    self.box.setCurrentIndex(self.box.count() - 1)
        self.box.blockSignals(False)
        self.setVisible(self.box.count() > 1)
        if self.layer != before:
            self.changed.emit()
