"""Finding models: shipped weights, files, baselines."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from ...errors import TsainError, printable
from ...model_files.checkpoint import ModelInfo, load, read_info
from ...system.folders import own_models_folder
from ...system.resources import weights_folder
from ..slice_model import SliceModel
from .adjusted_model import AdjustedModel
from .baseline_models import BASELINES, BaselineModel
from .device import choose_device
from .network_model import NetworkModel
from .settings import InferenceSettings

logger = logging.getLogger(__name__)

_SHOWN = 60  # characters of a name in a message


def shipped_models() -> dict[str, Path]:
    """Name -> file of the weights that come with this installation."""
    return {path.stem: path for path in sorted(weights_folder().glob("*.safetensors"))}


def own_models() -> dict[str, Path]:
    """Name -> file of the models that this user fine-tuned."""
    found = sorted(own_models_folder().glob("*.safetensors"))
    return {path.stem: path for path in found if not path.name.startswith(".")}  # unfinished


def model_files() -> dict[str, Path]:
    """Name -> file of all models; shipped ones cannot be hidden by one's own."""
    return own_models() | shipped_models()


def describe_models() -> dict[str, ModelInfo | None]:
    """Name -> what the model file says, shipped ones first; None for the baselines."""
    found: dict[str, ModelInfo | None] = {}
    for name, path in (*shipped_models().items(), *own_models().items()):
        try:
            found.setdefault(printable(name), read_info(path))
        except TsainError as error:  # one damaged file must not hide the others
            logger.warning("%s", error)
    return found | dict.fromkeys(BASELINES)


def any_position(name: str) -> bool:
    """Whether a model computes any position between two slices directly, without opening it.

    Raises
    ------
    TsainError
        If there is no such model, or its file cannot be read.
    """
    if name in BASELINES:
        return True
    name = default_model() if name == "auto" else name
    return read_info(model_files().get(name, Path(name))).settings.positions


def model_card(name: str) -> str | None:
    """The card of a model, as Markdown; None where there is none."""
    path = model_files().get(name)
    card = path.with_suffix(".md") if path else None
    return card.read_text(encoding="utf-8", errors="replace") if card and card.is_file() else None


def default_model(device: str = "auto") -> str:
    """Name of the best shipped model that is comfortable on the device."""
    shipped = shipped_models()
    if choose_device(device).type == "cpu" or "tsain" not in shipped:
        return "tsain-lite"
    return "tsain"


def open_model(name: str | Path, settings: InferenceSettings = InferenceSettings()) -> SliceModel:
    """A model by name or file.

    Parameters
    ----------
    name : str or Path
        "auto", a shipped model, one of the user's own, a baseline of `BASELINES`, or the path of a
        model file.
    settings : InferenceSettings
        Device, precision and tiles, for networks.

    Returns
    -------
    SliceModel
        Computes slices between two slices.

    Raises
    ------
    TsainError
        If there is no such model, or the file cannot be understood.
    """
    model = _open(str(name), settings)
    if not settings.adjusts:
        return model
    return AdjustedModel(model, settings.align, settings.match_brightness)


def _open(text: str, settings: InferenceSettings) -> BaselineModel | NetworkModel:
    if text in BASELINES:
        return BaselineModel(text)
    if text == "auto":
        text = default_model(settings.device)
    files = model_files()
    path = files.get(text, Path(text))
    if not os.path.exists(path):  # also for names that no file can have
        known = ", ".join([*files, *BASELINES])
        raise TsainError(
            f"There is no model {text[:_SHOWN]!r}; choose one of {known}, or give the "
            "path of a model file."
        )
    network, info = load(path)
    return NetworkModel(network, info, choose_device(settings.device), settings)


def open_network(
    name: str | Path, settings: InferenceSettings = InferenceSettings()
) -> NetworkModel:
    """A network by name or file, as `open_model`.

    Raises
    ------
    TsainError
        Also if the name is that of a baseline, which has no weights and samples nowhere.
    """
    return as_network(_open(str(name), settings))


def as_network(model: SliceModel) -> NetworkModel:
    """The model, which must be a network.

    Raises
    ------
    TsainError
        If it is a baseline.
    """
    if not isinstance(model, NetworkModel):
        raise TsainError(
            f"{model.name!r} is no network and samples nowhere; choose a network instead."
        )
    return model
