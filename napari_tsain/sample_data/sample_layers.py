"""Sample data: one that needs no network, and real stacks that are downloaded once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tsain_core.sample_data import SampleFile

LayerDataTuple: TypeAlias = "tuple[Any, dict[str, Any], str]"

_VOXEL_SIZE = (40.0, 5.0, 5.0)
_UNIT = "nanometer"


def em_phantom_layer() -> list[LayerDataTuple]:
    """Generate a small serial-section stack with sections eight times as thick as a pixel is wide.

    Returns
    -------
    list of (data, attributes, "image")
        One image layer, uint8 (z, y, x), with its voxel size in nanometres.
    """
    from tsain_core.sample_data.phantom import em_phantom

    attributes = {
        "name": "EM phantom",
        "scale": _VOXEL_SIZE,
        "units": (_UNIT,) * 3,
        "axis_labels": ("z", "y", "x"),
        "contrast_limits": (0, 255),
        "colormap": "gray",
        "metadata": {"generated": "EM phantom, seed 0: no specimen was imaged"},
    }
    return [(em_phantom(), attributes, "image")]


def fib25() -> list[LayerDataTuple]:
    """FIB-25, downloaded once; see `sample_layer`."""
    return sample_layer("fib25")


def vnc1() -> list[LayerDataTuple]:
    """VNC, downloaded once; see `sample_layer`."""
    return sample_layer("vnc1")


def sample_layer(
    name: str, folder: Path | None = None, files: Sequence[SampleFile] | None = None
) -> list[LayerDataTuple]:
    """A real sample, lazily; what is missing is downloaded first.

    Parameters
    ----------
    name : str
        One of `tsain_core.sample_data.SAMPLES`.
    folder, files
        As `tsain_core.sample_data.download`.

    Returns
    -------
    list of (data, attributes, "image")
        The layer's metadata name licence and credit.

    Raises
    ------
    TsainError
        Without a network, or if the user cancels.
    """
    from napari.utils.notifications import show_info
    from qtpy.QtWidgets import QApplication

    from tsain_core.sample_data import SAMPLES, fetch_sample

    from ..io import layer_data

    sample = SAMPLES[name]
    if QApplication.instance() is None:
        target = fetch_sample(name, folder, files=files)
    else:
        from .download import download_with_dialog

        target = download_with_dialog(name, folder, files)
    data, attributes, kind = layer_data(target)
    attributes["name"] = sample.title.partition(":")[0]
    attributes["metadata"] |= {"licence": sample.licence, "credit": sample.credit}
    show_info(f"{sample.title}. Licence: {sample.licence}. {sample.credit}.")
    return [(data, attributes, kind)]
