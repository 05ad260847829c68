"""The writer that napari asks: nothing that the layer says of its slices is lost."""

from __future__ import annotations

from typing import Any

import numpy as np

_IDENTITY = ("rotate", "shear", "affine")


def write_stack(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write an Image layer, slice by slice.

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
    from tsain_core.errors import TsainError

    from .._wording import in_dock_words

    try:
        _write(path, data, meta)
    except TsainError as error:
        raise RuntimeError(in_dock_words(error)) from error
    return [path]


def _write(path: str, data: Any, meta: dict[str, Any]) -> None:
    from napari.layers import Image
    from napari.utils.notifications import show_warning

    from tsain_core.errors import TsainError
    from tsain_core.volumes import create_volume

    from .._marks import z_axis_of
    from .._stack import level_0, stack_axes, stack_of

    layer = Image(data, **meta)
    axis = z_axis_of(layer) if layer.ndim > 2 else 0
    if not layer.rgb and layer.ndim > 3:
        extra = [level_0(layer).shape[a] for a in stack_axes(layer, axis)]
        if max(extra) > 1:
            raise TsainError(
                f"{layer.name!r} has {extra} places along other axes than z, y and x; needed is "
                "one: split the stack (Layers > Data > Split Stack) and save each."
            )
    volume = stack_of(layer, axis)
    if lost := [name for name in _IDENTITY if not _is_identity(meta.get(name), name, layer.ndim)]:
        show_warning(f"{path} has no place for {', '.join(lost)}; the file is written without.")
    with create_volume(
        path,
        volume.shape,
        volume.dtype,
        voxel_size=volume.voxel_size,
        unit=volume.unit,
        offset=volume.offset,
        synthetic=volume.synthetic,
        provenance=volume.provenance,
        overwrite=True,  # napari's dialog has asked
        source=volume.source or None,
    ) as writer:
        for z in range(volume.shape[0]):
            writer.write(z, volume[z])


def _is_identity(value: Any, name: str, ndim: int) -> bool:
    """Whether a transform does nothing."""
    if value is None:
        return True
    matrix = np.asarray(value, float)
    if name == "shear" and matrix.ndim < 2:
        return not matrix.any()
    return np.allclose(matrix, np.eye(matrix.shape[0]))
