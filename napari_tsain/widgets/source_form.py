"""Which stack: layer, z axis, and the place along the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from magicgui.widgets import ComboBox, Container, Label
from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QComboBox, QVBoxLayout, QWidget

from tsain_core.errors import TsainError

from ..layers.layer_listener import LayerListener
from ..layers.provenance import HELPER_KEY, stated_marks, z_axis_of
from ..layers.stack import check_layer, stack_axes, stack_of
from ..layers.view import current_index, go_to_slice
from .closing import Closing

if TYPE_CHECKING:
    import napari
    from napari.layers import Image

    from tsain_core.volumes import Volume

#: Events after which a layer is another stack, or lies elsewhere.
_CHANGES = ("data", "name", "scale", "translate", "rotate", "shear", "affine", "units")


class SourceForm(QWidget):
    """Image layer to interpolate: the selected one, until the user chooses another here.

    Attributes
    ----------
    changed : Signal
        Another layer, another axis, or the layer itself changed.
    """

    changed = Signal()

    def __init__(self, viewer: napari.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._chosen_here: Any = None
        self.layer_box = ComboBox(
            label="image",
            choices=self._layers,
            tooltip="The stack: an Image layer (z, y, x). Follows the selected layer until you "
            "choose one here",
        )
        # a long name must not widen the dock
        self.layer_box.native.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.layer_box.native.setMinimumContentsLength(10)
        self.axis_box = ComboBox(
            label="z axis", choices=self._axes, tooltip="Which axis counts the slices"
        )
        self.place = Label(label="of which", tooltip="Where the viewer stands along other axes")
        self._form = Container(widgets=[self.layer_box, self.axis_box, self.place], labels=True)
        self._form.margins = (0, 0, 0, 0)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._form.native)
        # several events in one go are one change
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(0)
        self._soon.timeout.connect(self._layer_chosen)
        self._listener = LayerListener((*_CHANGES, "axis_labels"), self._layer_changed)
        stack = Closing(self).stack
        stack.callback(self._listener.stop)
        selected = viewer.layers.selection.events.active
        selected.connect(self._layer_selected)
        stack.callback(selected.disconnect, self._layer_selected)
        self._take(viewer.layers.selection.active)
        self.layer_box.changed.connect(self._chosen_in_box)
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

    @property
    def here(self) -> int:
        """The slice of the stack on screen."""
        if self.layer is None or self.layer.ndim < 3:
            return 0
        return current_index(self._viewer, self.layer)[self.z_axis]

    def go_to(self, z: int) -> None:
        """Show a slice of the stack."""
        if self.layer is not None and self.layer.ndim > 2:
            go_to_slice(self._viewer, self.layer, self.z_axis, z)

    def stack(self) -> Volume:
        """The chosen stack.

        Raises
        ------
        TsainError
            If there is none, or it is no grey stack.
        """
        if self.layer is None:
            raise TsainError(
                "No image is open; expected a stack (z, y, x): open one, or File > Open Sample."
            )
        return stack_of(self.layer, self.z_axis, self.index)

    def refresh(self) -> None:
        """Layers came, went, or were renamed: the chosen one stays chosen if it is there."""
        before = self.layer
        with self.layer_box.changed.blocked():
            self.layer_box.reset_choices()
            if before is not None and before in self.layer_box.choices:
                self.layer_box.value = before
            elif self._chosen_here is None or self._chosen_here not in self.layer_box.choices:
                self._chosen_here = None
                self._take(self._viewer.layers.selection.active)
        if self.layer != before:  # not "is": napari gives docks proxies
            self._layer_chosen()

    def refresh_place(self) -> None:
        """The viewer moved."""
        self._show_place()

    def _take(self, layer: Any) -> None:
        """Choose a layer of the viewer, if it is an image that was not computed here."""
        if layer is None or layer not in self.layer_box.choices:
            return
        marks = stated_marks(layer)
        if not marks.synthetic and not marks.source_layer:
            self.layer_box.value = layer

    def _layer_selected(self, event: Any) -> None:
        if self._chosen_here is None and event.value is not None:
            with self.layer_box.changed.blocked():
                before = self.layer
                self.layer_box.reset_choices()
                self._take(event.value)
            if self.layer != before:
                self._layer_chosen()

    def _chosen_in_box(self, layer: Any) -> None:
        self._chosen_here = layer
        self._layer_chosen()

    def _layer_changed(self, event: Any) -> None:
        if event.type == "name":
            self.refresh()
        self._soon.start()

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
        another = layer != self._listener.layer
        self._listener.listen(layer)
        many = layer is not None and layer.ndim > 3
        before = self.axis_box.value
        with self.axis_box.changed.blocked():
            self.axis_box.reset_choices()
            if many and (another or before not in self._axes()):
                assert layer is not None
                self.axis_box.value = self._axes()[_likely_z(layer)]
            elif many:
                self.axis_box.value = before
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
