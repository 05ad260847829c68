"""What layers beside a stack say of it: pixels to repair, and labels that go along."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any

import dask.array as da
import numpy as np

from tsain_core.blockwise import Beside
from tsain_core.errors import TsainError
from tsain_core.interpolation.interpolate import TileProgress
from tsain_core.interpolation.schedule import Schedule
from tsain_core.labels import labels_in_zarr
from tsain_core.repairing import RepairMask, find_parts
from tsain_core.volumes import Volume
from tsain_core.volumes._label_images import LABELS, label_name
from tsain_core.volumes.zarr_layout import ZarrLayout

_QUICK = 256 << 20  # bytes of labels that are looked through in the window's thread


@dataclass(frozen=True, eq=False)
class Parts:
    """Damaged pixels, of some slices.

    Attributes
    ----------
    slices : tuple of int
        z of the slices that have some; empty where that takes long to find out.
    labels : array-like (z, y, x) or None
        All pixels but 0 are damaged.
    drawn : dict or None
        z -> damaged pixels (y, x), bool. Where neither is given, the parts of `slices` are looked
        for.
    whole : tuple of int
        Slices that are damaged as a whole.
    source : str
        File of the labels, for the command; empty where there is none.
    """

    slices: tuple[int, ...]
    labels: Any = None
    drawn: dict[int, Any] | None = None
    whole: tuple[int, ...] = ()
    source: str = ""

    @property
    def found(self) -> bool:
        """Whether the parts are looked for."""
        return self.labels is None and self.drawn is None

    def mask(self, volume: Volume) -> Generator[TileProgress, None, RepairMask]:
        """The mask; yields while it looks for parts.

        Raises
        ------
        TsainError
            If it does not fit the stack.
        """
        if self.labels is not None:
            return RepairMask.of(self.labels, volume.shape).with_whole(self.whole)
        if self.drawn is not None:
            return RepairMask(volume.shape, self.drawn).with_whole(self.whole)
        search = find_parts(volume, self.slices)
        while True:
            try:
                next(search)
            except StopIteration as end:
                mask: RepairMask = end.value
                return mask
            yield TileProgress(0, 0.0, len(self.slices))


@dataclass(frozen=True, eq=False)
class Along:
    """Labels that are interpolated with a stack.

    Attributes
    ----------
    data : array-like (z, y, x)
        Of integers.
    name : str
        Of their layer.
    source : str
        Their file, for the command; empty where there is none.
    """

    data: Any
    name: str
    source: str

    def beside(self, volume: Volume, schedule: Schedule, layout: ZarrLayout) -> Beside:
        """The group "labels" of a result.

        Parameters
        ----------
        volume : Volume
            The stack, which says where they lie.
        schedule : Schedule
        layout : ZarrLayout
            Of the result.
        """
        data = self.data if isinstance(self.data, da.Array) else da.from_array(self.data)
        labels = replace(volume, data=data, source=self.source or self.name, partial={})
        return Beside(
            LABELS,
            lambda folder: labels_in_zarr(labels, self.group, folder, schedule, layout),
        )

    @property
    def group(self) -> str:
        """Name of the label image in a result."""
        return label_name(self.source or self.name)


def parts_of_layer(
    mask: Any, image: Any, z_axis: int, index: tuple[int, ...], whole: tuple[int, ...]
) -> Parts:
    """The pixels that a Labels or Shapes layer marks in the stack of an Image layer.

    Parameters
    ----------
    mask : napari.layers.Labels or Shapes
        Labels with an axis and a pixel for each of the image's, or of its stack (z, y, x).
    image : napari.layers.Image
    z_axis, index
        Its axis that z is, and the place along its others.
    whole : tuple of int
        Slices that are damaged as a whole.

    Raises
    ------
    TsainError
        If the layer marks nothing, or does not fit.
    """
    from napari.layers import Labels

    if isinstance(mask, Labels):
        data = stack_of_labels(mask, image, z_axis, index)
        slices = _marked(data)
        if slices is not None and not slices:
            raise TsainError(f"{mask.name!r} marks no pixel: paint over what is damaged.")
        path = str(mask.source.path or "")
        known = () if slices is None else tuple(sorted({*slices, *whole}))
        return Parts(known, data, None, whole, path)
    drawn = _drawn(mask, image, z_axis)
    if not drawn:
        raise TsainError(
            f"{mask.name!r} has no shape on this stack: draw a closed shape round what is damaged."
        )
    return Parts(tuple(sorted({*drawn, *whole})), None, drawn, whole)


def stack_of_labels(layer: Any, image: Any, z_axis: int, index: tuple[int, ...]) -> Any:
    """The labels (z, y, x) of a Labels layer on the stack of an Image layer.

    Raises
    ------
    TsainError
        If it has not a pixel for each of the image's, or of its stack.
    """
    from ..layers.stack import level_0

    return _stack_of(level_0(layer), level_0(image), z_axis, index, layer.name)


def _stack_of(data: Any, image: Any, z_axis: int, index: tuple[int, ...], name: str) -> Any:
    """Labels (z, y, x) on the stack of an image."""
    others = iter(index)
    place = tuple(
        slice(None) if axis == z_axis or axis >= image.ndim - 2 else next(others)
        for axis in range(image.ndim)
    )
    stack = tuple(n for n, at in zip(image.shape, place, strict=True) if isinstance(at, slice))
    if tuple(data.shape) == tuple(image.shape):
        return data[place]
    if tuple(data.shape) == stack:
        return data
    found, wanted = (" x ".join(str(n) for n in s) for s in (data.shape, stack))
    raise TsainError(
        f"{name!r} has {found} pixels, and the stack {wanted}; one label a pixel is required: "
        "select the stack, and make a new Labels layer for it."
    )


def _marked(data: Any) -> list[int] | None:
    """z of slices with a label other than 0; None for arrays that are not looked through here."""
    if not isinstance(data, np.ndarray) or data.nbytes > _QUICK:
        return None
    return [z for z in range(data.shape[0]) if data[z].any()]


def _drawn(shapes: Any, image: Any, z_axis: int) -> dict[int, Any]:
    """z -> pixels (y, x) within closed shapes that lie in that slice."""
    from napari.layers import Shapes

    from ..layers.stack import level_0

    full = level_0(image).shape
    depth, size = full[z_axis], full[-2:]
    flat: dict[int, list[tuple[Any, str]]] = {}
    for outline, kind in zip(shapes.data, shapes.shape_type, strict=True):
        if kind in ("line", "path"):
            continue
        corners = np.array([_in_image(shapes, image, corner) for corner in outline])
        z = round(float(corners[:, z_axis].mean()))
        if 0 <= z < depth:
            flat.setdefault(z, []).append((corners[:, -2:], kind))
    masks = {
        z: Shapes([c for c, _ in some], shape_type=[k for _, k in some]).to_labels(size) > 0
        for z, some in flat.items()
    }
    return {z: mask for z, mask in masks.items() if mask.any()}


def _in_image(shapes: Any, image: Any, corner: Any) -> Any:
    """A corner of a shape in pixels of an image, whose axes are the last ones of both."""
    world = np.asarray(shapes.data_to_world(corner), float)
    if len(world) < image.ndim:
        world = np.concatenate([np.zeros(image.ndim - len(world)), world])
    return np.asarray(image.world_to_data(world[-image.ndim :]))
