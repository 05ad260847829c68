"""The controls of the dock "Sampling offsets"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from magicgui.widgets import ComboBox, Container, FileEdit
from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from tsain_core.inference.models import default_model, describe_models
from tsain_core.model_files.checkpoint import ModelInfo
from tsain_core.offsets import MapKind, MapPart, QueryPoints, TapPoints

from ..layers.listening import refresh_choices
from ..layers.provenance import HELPER_KEY, layer_marks
from ..widgets.model_file import ModelFile
from ..widgets.segments import Segments
from ._overlay import STEP_COLORS

if TYPE_CHECKING:
    import napari
    from napari.layers import Image


class PointsView(StrEnum):
    """How the sampling points of the spatial-adaptive steps are shown."""

    STEPS = "Steps"
    COMPOSED = "Composed"


@dataclass(frozen=True)
class RealPoints:
    """Convolutions that sample in the real slices: a level of the towers, or a refinement block."""

    tower: bool
    number: int

    @property
    def label(self) -> str:
        """For the list of choices; blocks are counted from 1 there."""
        if self.tower:
            return f"tower, level {self.number}"
        return f"refinement block {self.number + 1}"


#: The first choice: no points in real slices.
_NOWHERE: tuple[str, RealPoints | None] = ("not shown", None)

_STEP = "Show the sampling points of this step, as opaque as their mask"


def networks() -> dict[str, ModelInfo]:
    """Name -> what is known of it, of all networks."""
    return {name: info for name, info in describe_models().items() if info is not None}


class SliceForm(QWidget):
    """Which result, and which network."""

    changed = Signal()

    def __init__(self, viewer: napari.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._known = networks()
        self.layer_box = ComboBox(
            label="result", choices=self._layers, tooltip="A layer with computed slices"
        )
        self.model_box = ComboBox(
            label="model",
            choices=[*self._known, ModelFile.CHOSEN],
            value=default_model(),
            tooltip="The network whose sampling is shown; the one that made the slices, if known",
        )
        self.file_box = FileEdit(
            label="file", filter="*.safetensors", tooltip="A model file (.safetensors)"
        )
        form = Container(widgets=[self.layer_box, self.model_box, self.file_box], labels=True)
        form.margins = (0, 0, 0, 0)
        self._form = form
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(form.native)
        self.file_box.visible = False
        self.layer_box.changed.connect(lambda: self.changed.emit())
        self.model_box.changed.connect(self._model_chosen)

    @property
    def layer(self) -> Image | None:
        """The chosen layer."""
        return self.layer_box.value  # type: ignore[no-any-return]

    @property
    def model(self) -> str:
        """Name or file of the chosen network; empty where no file is named yet."""
        if self._from_file:
            return str(self.file_box.line_edit.value).strip()
        return str(self.model_box.value)

    @property
    def _from_file(self) -> bool:
        return self.model_box.value is ModelFile.CHOSEN

    def refresh(self) -> None:
        """Layers came, went, or were renamed."""
        refresh_choices(self.layer_box)

    def refresh_models(self) -> None:
        """Look again which models there are."""
        self._known = networks()
        self.model_box.choices = [*self._known, ModelFile.CHOSEN]

    def follow(self, provenance: Mapping[str, Any]) -> str:
        """Choose the network that made some slices; returns what has to be said about it.

        Another stack's network does not stay chosen: where there is none, it is the default.
        """
        model_id, weights = (str(provenance.get(k) or "") for k in ("model", "weights_sha256"))
        if model_id and model_id not in self._known:
            self.refresh_models()
        if model_id in self._known:
            self.model_box.value = model_id
            if weights and weights != self._known[model_id].weights_hash:
                return (
                    f"The slices were made by other weights of {model_id!r} than those that are "
                    "here now; what is shown is of those that are here."
                )
        else:
            self.model_box.value = default_model()
            if weights:
                return (
                    f"The network {model_id!r} that made the slices is not among the models; what "
                    f"is shown is of {self.model!r}. Choose its file: {ModelFile.CHOSEN}"
                )
            if model_id:
                return (
                    f"The slices were made by {model_id!r}, which samples nowhere; what is shown "
                    f"is where {self.model!r} would sample."
                )
        if passes := provenance.get("ensemble"):
            return (
                f"The slices are averages of {passes} passes; what is shown is where the first of "
                "them sampled, which saw the slices as they are."
            )
        return ""

    def _layers(self, *_: object) -> list[tuple[str, Image]]:
        from napari.layers import Image

        return [
            (layer.name, layer)
            for layer in reversed(self._viewer.layers)
            if isinstance(layer, Image)
            and not layer.metadata.get(HELPER_KEY)
            and layer_marks(layer).synthetic
        ]

    def _model_chosen(self) -> None:
        self.file_box.visible = self._from_file


class QueryForm(QWidget):
    """Picking, and what is shown of the points.

    Attributes
    ----------
    changed : Signal
        Something else is to be shown.
    jump : Signal(str)
        The viewer is to go to the slice "before", "after", or the "computed" one.
    turn : QPushButton
        There only where the view shows no slices.
    """

    changed = Signal()
    jump = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.pick = QPushButton("Pick points")
        self.pick.setCheckable(True)
        self.pick.setToolTip("Click or drag on the image to set the query; no panning meanwhile")
        self.view = Segments(
            {
                PointsView.STEPS: "The nine sampling points of each spatial-adaptive step",
                PointsView.COMPOSED: "What the third step reaches in the input of the first",
            }
        )
        self.step_boxes = [QCheckBox(f"step {i}") for i in (1, 2, 3)]
        steps = QHBoxLayout()
        for box, color in zip(self.step_boxes, STEP_COLORS, strict=True):
            box.setChecked(True)
            box.setStyleSheet(f"QCheckBox {{ color: {color}; }}")
            box.setToolTip(_STEP)
            box.toggled.connect(lambda _: self.changed.emit())
            steps.addWidget(box)
        self.real_box = ComboBox(
            choices=[_NOWHERE],
            tooltip="Where towers and refinement blocks sample in the two real slices; "
            "a colour for each offset group",
        )
        jumps = QHBoxLayout()
        self.jumps = {}
        for where, label in (("before", "Before"), ("computed", "Computed"), ("after", "After")):
            button = QPushButton(label)
            button.setToolTip(f"Go to the {where} slice" if where == "computed" else _go(where))
            button.clicked.connect(lambda _, w=where: self.jump.emit(w))
            jumps.addWidget(button)
            self.jumps[where] = button
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self.turn = QPushButton("Show y and x")
        self.turn.setToolTip("Turn the view: points are picked in a slice")
        self.turn.hide()
        layout.addWidget(self.pick)
        layout.addWidget(self.turn)
        layout.addWidget(self.view)
        layout.addLayout(steps)
        row = QFormLayout()
        row.addRow("in real slices", self.real_box.native)
        layout.addLayout(row)
        layout.addLayout(jumps)
        self.view.changed.connect(self._view_chosen)
        self.real_box.changed.connect(lambda: self.changed.emit())

    @property
    def composed(self) -> bool:
        """Whether the steps are shown together."""
        return self.view.value is PointsView.COMPOSED

    @property
    def steps(self) -> list[int]:
        """The steps to show, from 0."""
        return [i for i, box in enumerate(self.step_boxes) if box.isChecked()]

    def offer(self, points: QueryPoints) -> None:
        """Fit the choice of towers and blocks to what a network has."""
        levels = sorted({level for _, level in points.temporal})
        blocks = sorted({block for block, _ in points.drb})
        offered = [RealPoints(True, level) for level in levels]
        offered += [RealPoints(False, block) for block in blocks]
        if list(self.real_box.choices) != [None, *offered]:
            self.real_box.choices = [_NOWHERE, *((points.label, points) for points in offered)]

    def in_real_slices(self, points: QueryPoints) -> dict[int, TapPoints]:
        """Side -> the chosen points; empty for none."""
        chosen = self.real_box.value
        if chosen is None:
            return {}
        if chosen.tower:
            return {side: points.temporal[side, chosen.number] for side in (0, 2)}
        return {side: points.drb[chosen.number, side] for side in (0, 2)}

    def _view_chosen(self) -> None:
        for box in self.step_boxes:
            box.setEnabled(not self.composed)
            box.setToolTip("All steps are shown together now" if self.composed else _STEP)
        self.changed.emit()


class MapForm(QWidget):
    """A map of what is on screen, on demand."""

    _KINDS: dict[MapKind, str] = {"offset": "offset length", "spread": "spread of the taps"}
    _PARTS: dict[MapPart, str] = {
        "rsab": "spatial-adaptive steps",
        "temporal": "towers",
        "drb": "refinement blocks",
    }

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.kind_box = ComboBox(
            label="map",
            choices=[(label, kind) for kind, label in self._KINDS.items()],
            tooltip="Offset length in pixels: where did it have to look far? Spread over a plain "
            "3 x 3 kernel's: where do its taps disagree?",
        )
        self.part_box = ComboBox(
            label="of the",
            choices=[(label, part) for part, label in self._PARTS.items()],
            tooltip="Which convolutions, on average",
        )
        form = Container(widgets=[self.kind_box, self.part_box], labels=True)
        form.margins = (0, 0, 0, 0)
        self._form = form
        self.compute = QPushButton("Map the view")
        self.cancel = QPushButton("Cancel")
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        row = QHBoxLayout()
        row.addWidget(self.compute, 2)
        row.addWidget(self.cancel, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        question = QLabel("Where did it look far, where do its taps disagree?")
        question.setWordWrap(True)
        layout.addWidget(question)
        layout.addWidget(form.native)
        layout.addLayout(row)
        layout.addWidget(self.progress)
        self.set_running(False)

    @property
    def kind(self) -> MapKind:
        """The chosen map."""
        kind: MapKind = self.kind_box.value
        return kind

    @property
    def part(self) -> MapPart:
        """Of which convolutions."""
        part: MapPart = self.part_box.value
        return part

    @property
    def title(self) -> str:
        """Name of the map, with its unit."""
        unit = "px" if self.kind == "offset" else "of a plain kernel's"
        return f"{self._KINDS[self.kind]} ({unit}), {self._PARTS[self.part]}"

    def set_running(self, running: bool) -> None:
        """Enable what can be pressed."""
        self.compute.setEnabled(not running)
        self.compute.setToolTip(
            "A map is being computed" if running else "Compute the map for the part on screen"
        )
        self.cancel.setEnabled(running)
        self.cancel.setToolTip("Stop within a tile" if running else "Nothing is running")
        self.progress.setVisible(running)
        self.progress.setValue(0)

    def show_progress(self, done: int, total: int) -> None:
        """Fill the bar."""
        self.progress.setRange(0, total)
        self.progress.setValue(done)


def _go(where: str) -> str:
    return f"Go to the real slice {where}, to see what was sampled in it"
