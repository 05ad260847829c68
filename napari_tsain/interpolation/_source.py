"""Which stack: layer, z axis, and the place along the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from magicgui.widgets import ComboBox, Container, Label
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from tsain_core.errors import TsainError

from .._marks import HELPER_KEY, z_axis_of
from .._stack import check_layer, stack_axes, stack_of
from .._view import current_index

if TYPE_CHECKING:
    import napari
    from napari.layers import Image

    from tsain_core.volumes import Volume


class SourceForm(QWidget):
    """Image layer to interpolate.

    Attributes
    ----------
    changed : Signal
        Another layer, another axis, or the layer itself changed.
    """

    changed = Signal()

    def __init__(self, viewer: napari.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self.layer_box = ComboBox(
            label="image", choices=self._layers, tooltip="The stack: an Image layer (z, y, x)"
        )
        self.axis_box = ComboBox(
            label="z axis", choices=self._axes, tooltip="Which axis counts the slices"
        )
        self.place = Label(label="of which", tooltip="Where the viewer stands along other axes")
        self._form = Container(widgets=[self.layer_box, self.axis_box, self.place], labels=True)
        self._form.margins = (0, 0, 0, 0)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._form.native)
        self.layer_box.changed.connect(self._layer_chosen)
        self.axis_box.changed.connect(self._show_place)
        self.axis_box.changed.connect(lambda: self.changed.emit())
        self._layer_chosen()

    @property
    def layer(self) -> Image | None:
        """The chosen layer."""
        return self.layer_box.value  # type: ignore[no-any-return]

    @property
    def z_axis(self) -> int:
        """Its axis that z is."""
        layer = self.layer
        if layer is None or layer.ndim <= 3:
            return 0
        labels = self._axes()
        return labels.index(self.axis_box.value) if self.axis_box.value in labels else 0

    @property
    def index(self) -> tuple[int, ...]:
        """Place along its other axes."""
        if self.layer is None:
            return ()
        here = current_index(self._viewer, self.layer)
        return tuple(here[axis] for axis in stack_axes(self.layer, self.z_axis))

    def stack(self) -> Volume:
        """The chosen stack.

        Raises
        ------
        TsainError
            If there is none, or it is no grey stack.
        """
        if self.layer is None:
            raise TsainError(
                "No image is open; needed is a stack (z, y, x): open one, or File > Open Sample."
            )
        return stack_of(self.layer, self.z_axis, self.index)

    def refresh(self) -> None:
        """Layers came, went, or were renamed."""
        self.layer_box.reset_choices()

    def refresh_place(self) -> None:
        """The viewer moved."""
        self._show_place()

    def _layers(self, *_: Any) -> list[tuple[str, Image]]:
        from napari.layers import Image

        return [
            (layer.name, layer)
            for layer in self._viewer.layers
            if isinstance(layer, Image) and not layer.metadata.get(HELPER_KEY)
        ]

    def _axes(self, *_: Any) -> list[str]:
        if self.layer is None or self.layer.ndim < 4:
            return ["z"]
        return [f"{i}: {label}" for i, label in enumerate(self.layer.axis_labels[:-2])]

    def _layer_chosen(self) -> None:
        layer = self.layer
        many = layer is not None and layer.ndim > 3
        self.axis_box.reset_choices()
        if many:
            assert layer is not None
            self.axis_box.value = self._axes()[_likely_z(layer)]
        self.axis_box.visible = self.place.visible = many
        self._show_place()
        self.changed.emit()

    def _show_place(self) -> None:
        layer = self.layer
        if layer is None or layer.ndim < 4:
            return
        labels = [layer.axis_labels[axis] for axis in stack_axes(layer, self.z_axis)]
        places = ", ".join(f"{a} {i}" for a, i in zip(labels, self.index, strict=True))
        self.place.value = f"{places} (where the viewer stands)"


def _likely_z(layer: Any) -> int:
    """The axis called z, else as marked, else the third from last."""
    try:
        check_layer(layer)
    except TsainError:
        return 0
    labels = [str(label).lower() for label in layer.axis_labels[:-2]]
    return labels.index("z") if "z" in labels else z_axis_of(layer)
