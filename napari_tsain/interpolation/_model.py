"""Which model computes, and how: picker, card, device, tiles."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from magicgui.widgets import CheckBox, ComboBox, Container, FileEdit, FloatSlider, SpinBox
from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QDialog,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QTextBrowser,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

from tsain_core.errors import TsainError
from tsain_core.inference.models import (
    BASELINES,
    ENSEMBLES,
    InferenceSettings,
    any_position,
    choose_device,
    default_model,
    describe_models,
    model_card,
    shipped_models,
)
from tsain_core.model_files.checkpoint import ModelInfo

from ..widgets.closing import Closing
from ..widgets.model_added import MODEL_ADDED
from ..widgets.model_file import ModelFile
from ..widgets.settings import remember, remembered

_OWN_FILE = "Weights of your own, or from a colleague."
#: The choice that a check of the stack replaces by the best model.
AUTO = "auto"


@dataclass(frozen=True)
class ModelChoice:
    """A model by name or file, and how it is run."""

    name: str
    settings: InferenceSettings

    @property
    def any_position(self) -> bool:
        """See `SliceModel.any_position`; known without opening it."""
        return any_position(self.name)

    @property
    def label(self) -> str:
        """Short, for names of layers."""
        return Path(self.name).stem if self.name not in BASELINES else self.name


class ModelForm(QWidget):
    """Model picker with its card; device, precision, tiles and ensemble folded away."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._known = describe_models()
        self._best: str | None = None
        # network -> the shares that suit the stack, as far as a check has found them
        self._mixes: dict[str, InferenceSettings] = {}
        # for any stack; models that were tuned stay with the stack that they were chosen for
        self._general = {AUTO, *shipped_models(), *BASELINES}
        self._stack = ""
        self._form = self._main()
        self.summary = QLabel()
        self.summary.setWordWrap(True)
        self.card_button = QPushButton("Card")
        self.card_button.clicked.connect(self._show_card)
        self.advanced = self._advanced()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._form.native)
        about = QHBoxLayout()
        about.addWidget(self.summary, 1)
        about.addWidget(self.card_button)
        layout.addLayout(about)
        layout.addWidget(self.advanced)
        self._recall()
        MODEL_ADDED.arrived.connect(self._news)
        # or the form would be called when it is gone, and those after it not at all
        Closing(self).stack.callback(MODEL_ADDED.arrived.disconnect, self._news)
        self.model_box.changed.connect(self._chosen)
        self.file_box.changed.connect(self._chosen)
        self.mix_box.changed.connect(self._chosen)
        self.detail_box.changed.connect(self._chosen)
        self._form_advanced.changed.connect(self._chosen)
        self._show_summary()

    @property
    def choice(self) -> ModelChoice:
        """The chosen model.

        Raises
        ------
        TsainError
            If it is to come from a file, and none is named, or the best, or how to mix it,
            is not known yet.
        """
        choice = self._unmixed
        if choice.name == AUTO:
            raise TsainError(
                "The models are being compared on this stack; wait some seconds, or choose one."
            )
        if not self.mixes:
            return choice
        if choice.name not in self._mixes:
            raise TsainError(
                "How to mix the model with the mean is being found on this stack; wait some "
                "seconds, or switch that off."
            )
        return ModelChoice(choice.name, choice.settings.mixed_as(self._mixes[choice.name]))

    @property
    def _unmixed(self) -> ModelChoice:
        if not self._from_file:
            return ModelChoice(self._name, self.settings)
        if not str(self.file_box.line_edit.value).strip():
            raise TsainError("No model file is named; expected a .safetensors file.")
        return ModelChoice(str(Path(str(self.file_box.value))), self.settings)

    @property
    def mixes(self) -> bool:
        """Whether the model is mixed with the mean: `AUTO` where it gains, others by choice."""
        auto = self.model_box.value == AUTO
        return self.is_network and (auto or bool(self.mix_box.value))

    @property
    def settings(self) -> InferenceSettings:
        """How the model is run, but for its mixing with the mean."""
        return InferenceSettings(
            str(self.device_box.value),
            self.precision_box.value,
            int(self.tile_box.value) or None,
            detail=round(float(self.detail_box.value), 2) if self.is_network else 0.0,
            ensemble=int(self.ensemble_box.value) if self.is_network else 1,
            align=bool(self.align_box.value),
            match_brightness=bool(self.match_box.value),
        )

    @property
    def to_check(self) -> ModelChoice:
        """The choice, or `AUTO` whatever the best was.

        Raises
        ------
        TsainError
            If the model is to come from a file, and none is named.
        """
        auto = self.model_box.value == AUTO
        return ModelChoice(AUTO, self.settings) if auto else self._unmixed

    def set_best(self, name: str | None) -> None:
        """The model that `AUTO` stands for; None until it is known."""
        if name == self._best:
            return
        self._best = name
        if self.model_box.value == AUTO:
            self._show_summary()
            self.changed.emit()

    def set_mixes(self, mixes: Mapping[str, InferenceSettings]) -> None:
        """Networks of which is known how they are mixed on the stack."""
        if mixes != self._mixes:
            self._mixes = dict(mixes)
            if self.mixes:
                self.changed.emit()

    @property
    def _name(self) -> str:
        chosen = str(self.model_box.value)
        return self._best if chosen == AUTO and self._best else chosen

    @property
    def _from_file(self) -> bool:
        return self.model_box.value is ModelFile.CHOSEN

    @property
    def is_network(self) -> bool:
        """Whether the choice is a network, not a baseline."""
        return self._name not in BASELINES

    def for_stack(self, stack: str) -> str:
        """Take the model that was used for a stack last; returns a word where that changes it.

        A fine-tuned model, and one from a file, stay with the stack that they were chosen for.

        Parameters
        ----------
        stack : str
            Path or name of the stack.
        """
        if stack == self._stack:
            return ""
        self._stack = stack
        before, kept = str(self.model_box.value), remembered(_key_of(stack))
        wanted = kept if kept in (AUTO, *self._known) else before
        if not kept and before not in self._general:
            general = remembered("model")
            wanted = general if general in self._general else default_model()
        if wanted == before:
            return ""
        self.model_box.value = wanted
        if kept:
            return f"{wanted} again, as last for this stack."
        return f"{before} was chosen for another stack; this one begins with {wanted}."

    def refresh(self) -> None:
        """Look again which models there are."""
        self._known = describe_models()
        self.model_box.choices = [AUTO, *self._known, ModelFile.CHOSEN]

    def _news(self, _: str) -> None:
        self.refresh()

    def _main(self) -> Container[Any]:
        self.model_box = ComboBox(
            label="model",
            choices=[AUTO, *self._known, ModelFile.CHOSEN],
            tooltip="Networks first, then what to compare them with; auto takes the best on some "
            "slices of the stack",
        )
        self.file_box = FileEdit(
            label="file", filter="*.safetensors", tooltip="A model file (.safetensors)"
        )
        self.detail_box = FloatSlider(
            label="real detail",
            min=0,
            max=1,
            step=0.05,
            tooltip="How much of the fine detail of the real slices computed ones get: 0 leaves "
            "them soft, with 0.9 they look as sharp as real ones. It is the neighbours' grain, no "
            "knowledge of the slice between",
        )
        self.mix_box = CheckBox(
            text="+ mean",
            tooltip="Mix what the network computes with the mean of neighbours, in fine detail and "
            "brightness, as slices left out of this stack show to be best; auto does so by itself",
        )
        picker = self.model_box.native
        picker.setSizeAdjustPolicy(picker.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        picker.setMinimumContentsLength(4)
        both = [self.model_box, self.mix_box]
        row: Container[Any] = Container(
            widgets=both, layout="horizontal", labels=False, label="model"
        )
        row.margins = (0, 0, 0, 0)
        boxes = [row, self.file_box, self.detail_box]
        form: Container[Any] = Container(widgets=boxes, labels=True)
        form.margins = (0, 0, 0, 0)
        return form

    def _advanced(self) -> QCollapsible:
        self.device_box = ComboBox(
            label="device", choices=_devices(), tooltip="Where to compute; auto takes a GPU if any"
        )
        self.precision_box = ComboBox(
            label="precision",
            choices=["auto", "fp32", "bf16"],
            tooltip="Of the convolutions; auto is bf16 on GPUs that multiply it, fp32 elsewhere",
        )
        self.tile_box = SpinBox(
            label="tile",
            min=0,
            max=8192,
            step=64,
            tooltip="Side of the tiles in pixels; 0 chooses by free memory",
        )
        self.ensemble_box = ComboBox(
            label="ensemble",
            choices=ENSEMBLES,
            tooltip="Passes over turned and mirrored slices whose average is taken: a little "
            "better, and so many times slower",
        )
        boxes = [self.device_box, self.precision_box, self.tile_box, self.ensemble_box]
        self._tooltips = {box: box.tooltip for box in boxes}
        self.align_box = CheckBox(
            text="Align pairs",
            tooltip="Move the two slices onto each other, by whole pixels, for what is computed "
            "from them; real slices stay where they are",
        )
        self.match_box = CheckBox(
            text="Match brightness",
            tooltip="Give what is computed a brightness and contrast between those of the two "
            "slices; real slices stay as they are",
        )
        every = [*boxes, self.align_box, self.match_box]
        self._form_advanced = Container(widgets=every, labels=True)
        self._form_advanced.margins = (0, 0, 0, 0)
        fold = QCollapsible("Advanced")
        fold.setToolTip("Device, precision, tiles, ensemble, aligning, brightness")
        fold.setDuration(0)
        fold.addWidget(self._form_advanced.native)
        return fold

    def _recall(self) -> None:
        model = remembered("model")
        self.model_box.value = model if model in self._general else default_model()
        if (device := remembered("device")) in self.device_box.choices:
            self.device_box.value = device
        if (tile := remembered("tile")).isdigit():
            self.tile_box.value = int(min(int(tile), self.tile_box.max))
        if (ensemble := remembered("ensemble")) in map(str, ENSEMBLES):
            self.ensemble_box.value = int(ensemble)
        self.mix_box.value = remembered("mix") == "yes"
        with suppress(ValueError):
            self.detail_box.value = min(max(0.0, float(remembered("detail"))), 1.0)

    def _chosen(self) -> None:
        name = str(self.model_box.value)
        if name in self._general:
            remember("model", name)
        if self._stack:
            remember(_key_of(self._stack), "" if self._from_file else name)
        remember("device", str(self.device_box.value))
        remember("tile", str(self.tile_box.value))
        remember("ensemble", str(self.ensemble_box.value))
        remember("mix", "yes" if self.mix_box.value else "no")
        remember("detail", f"{self.detail_box.value:.2f}")
        self._show_summary()
        self.changed.emit()

    def _show_summary(self) -> None:
        name = self._name
        self.file_box.visible = self._from_file
        info = self._known.get(name)
        self.summary.setText(_OWN_FILE if self._from_file else _summary(name, info))
        card = model_card(name)
        self.card_button.setEnabled(card is not None)
        self.card_button.setToolTip(
            "What it was trained on, licence, scores, limits"
            if card
            else "Only models that come with napari-tsain or were tuned here have a card"
        )
        self.detail_box.enabled = self.is_network
        self.mix_box.enabled = self.is_network and self.model_box.value != AUTO
        auto = self.device_box.value == "auto"
        for box, tooltip in self._tooltips.items():
            box.enabled = self.is_network
            box.tooltip = tooltip if self.is_network else "A baseline runs on the CPU, untiled"
        device = choose_device("auto").type if auto else str(self.device_box.value)
        self.advanced.setText(f"Advanced (device: {device if self.is_network else 'cpu'})")

    def _show_card(self) -> None:
        card = model_card(self._name)
        if card is None:
            return
        dialog = QDialog(self)
        dialog.setWindowTitle(f"Card of {self._name}")
        text = QTextBrowser(dialog)
        text.setMarkdown(card)
        QVBoxLayout(dialog).addWidget(text)
        dialog.resize(760, 640)
        dialog.show()


def _key_of(stack: str) -> str:
    """Key of the setting that says which model a stack was computed with."""
    return f"model-of/{sha256(stack.encode()).hexdigest()[:16]}"


def _devices() -> list[str]:
    """auto, and every device that can be used here."""
    import torch

    found = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    return ["auto", "cpu", *found, *(["mps"] if torch.backends.mps.is_available() else [])]


def _summary(name: str, info: ModelInfo | None) -> str:
    """One or two lines on a model."""
    if name == AUTO:
        return "The best on some slices of the stack."
    if info is None:
        return "No network: for comparison."
    lines = [f"Licence: {info.licence.partition(':')[0]}."]
    for stack, values in list(info.scores.items())[:1]:
        if {"psnr", "ssim"} <= set(values):
            lines.append(f"{stack}: PSNR {values['psnr']:.1f} dB, SSIM {values['ssim']:.2f}.")
    if choose_device("auto").type == "cpu":
        lines.append("No GPU here: the model made for CPUs is the default.")
    return " ".join(lines)
