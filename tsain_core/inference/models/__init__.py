"""Methods that compute a slice between two slices; networks and baselines share an interface."""

from ..ensemble import ENSEMBLES
from ..slice_model import Image, Keys, SliceKey, SliceModel, TiledModel, TileDone, run_to_end
from .adjusted_model import AdjustedModel, cutting_model
from .baseline_models import BASELINES, BaselineModel
from .catalogue import (
    any_position,
    default_model,
    describe_models,
    model_card,
    model_files,
    open_model,
    open_network,
    shipped_models,
)
from .device import Precision, choose_device, free_memory
from .network_model import NetworkModel
from .settings import InferenceSettings

__all__ = [
    "BASELINES",
    "AdjustedModel",
    "ENSEMBLES",
    "BaselineModel",
    "Image",
    "InferenceSettings",
    "Keys",
    "NetworkModel",
    "Precision",
    "SliceKey",
    "SliceModel",
    "TileDone",
    "TiledModel",
    "any_position",
    "choose_device",
    "cutting_model",
    "default_model",
    "describe_models",
    "free_memory",
    "model_card",
    "model_files",
    "open_model",
    "open_network",
    "run_to_end",
    "shipped_models",
]
