"""The writer that napari asks: nothing that the layer says of its slices is lost."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np

#: Kinds of files that are written: ending -> for people.
KINDS = {".zarr": "OME-Zarr", ".h5": "HDF5", ".ome.tif": "OME-TIFF"}
_IDENTITY = ("rotate", "shear", "affine")


def write_stack(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write an Image layer, slice by slice.

    Of a result that is still being computed, the slices that are there are written, with a
    warning.

    Parameters
    ----------
    path : str
        Ends in .zarr (OME-Zarr with a pyramid), .h5 (CREMI's layout) or .ome.tif.
    data : array or list of arrays
        (z, y, x); other axes may have length 1. Of a pyramid the first is taken.
    meta : dict
        Attributes of the layer, as napari gives them to writers.

    Returns
    -------
    list of str
        The path.

    Raises
    ------
    RuntimeError
        If the layer is no grey stack, or the file cannot be written; napari takes a ValueError,
        which a TsainError is, for a writer that does not know the format.
    """
    from napari.layers import Image
    from napari.utils.notifications import show_warning

    from tsain_core.errors import TsainError

    from ..widgets.wording import in_dock_words

    try:
        layer = Image(data, **meta)
        for word in cautions(layer):
            show_warning(f"{Path(path).name}: {word}")
        for _ in save_layer(path, layer):
            pass
    except TsainError as error:
        raise RuntimeError(in_dock_words(error)) from error
    return [path]


def cautions(layer: Any) -> list[str]:
    """What a file of an Image layer will not have, or not have right."""
    from ..layers.provenance import layer_marks

    marks, words = layer_marks(layer), []
    if marks.computed is not None:
        words.append(
            f"the run goes on: only the {marks.computed} slices that are there are written."
        )
    if marks.doubt:
        words.append(f"written without marks of computed slices: {marks.doubt}.")
    lost = [name for name in _IDENTITY if not _is_identity(getattr(layer, name), name)]
    if lost:
        words.append(f"there is no place for {', '.join(lost)}; written without.")
    return words


def save_layer(path: str | Path, layer: Any) -> Generator[tuple[int, int], None, None]:
    """Write an Image layer as `write_stack` does; yields slices written, and of how many.

    Raises
    ------
    TsainError
        If the layer is no grey stack, or the file cannot be written.
    """
    from tsain_core.errors import TsainError
    from tsain_core.volumes import create_volume

    from ..layers.provenance import layer_marks, z_axis_of
    from ..layers.stack import level_0, stack_axes, stack_of

    axis = z_axis_of(layer) if layer.ndim > 2 else 0
    if not layer.rgb and layer.ndim > 3:
        extra = [level_0(layer).shape[a] for a in stack_axes(layer, axis)]
        if max(extra) > 1:
            raise TsainError(
                f"{layer.name!r} has {extra} places along other axes than z, y and x; expected "
                "one: split the stack (Layers > Data > Split Stack) and save each."
            )
    volume, computed = stack_of(layer, axis), layer_marks(layer).computed
    depth = volume.shape[0] if computed is None else min(computed, volume.shape[0])
    with create_volume(
        path,
        (depth, *volume.shape[1:]),
        volume.dtype,
        voxel_size=volume.voxel_size,
        unit=volume.unit,
        offset=volume.offset,
        synthetic=[z for z in volume.synthetic if z < depth],
        partial={z: part for z, part in volume.partial.items() if z < depth},
        provenance=volume.provenance,
        overwrite=True,  # confirmed in the dialog
        source=volume.source or None,
    ) as writer:
        for z in range(depth):
            writer.write(z, volume[z])
            yield z + 1, depth


def _is_identity(value: Any, name: str) -> bool:
    """Whether a transform does nothing."""
    if name == "affine":
        value = value.affine_matrix
    matrix = np.asarray(value, float)
    if name == "shear" and matrix.ndim < 2:
        return not matrix.any()
    return np.allclose(matrix, np.eye(matrix.shape[0]))
