"""Slice interpolation for electron microscopy (EM) stacks: no Qt, no napari.

    import tsain_core as tsain

    volume = tsain.open_volume("stack.tif")
    finer = tsain.interpolate(volume, factor=2)

Importing this package is light: torch and the readers are imported when a function that needs them
is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api.evaluation import evaluate
    from .api.finetuning import finetune
    from .api.inspection import inspect
    from .api.interpolation import interpolate, interpolate_to_file
    from .api.mixing import find_mix
    from .api.repairing import repair
    from .api.reporting import report
    from .api.sampling import sampling_points
    from .inference.models import InferenceSettings, open_model
    from .volumes import open_volume

__version__ = "0.1.0"

__all__ = [
    "InferenceSettings",
    "find_mix",
    "evaluate",
    "finetune",
    "inspect",
    "interpolate",
    "interpolate_to_file",
    "open_model",
    "open_volume",
    "repair",
    "report",
    "sampling_points",
]

#: Public name -> the module that defines it.
_HOMES = {
    "InferenceSettings": ".inference.models",
    "find_mix": ".api.mixing",
    "evaluate": ".api.evaluation",
    "finetune": ".api.finetuning",
    "inspect": ".api.inspection",
    "interpolate": ".api.interpolation",
    "interpolate_to_file": ".api.interpolation",
    "open_model": ".inference.models",
    "open_volume": ".volumes",
    "repair": ".api.repairing",
    "report": ".api.reporting",
    "sampling_points": ".api.sampling",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
