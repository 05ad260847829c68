"""Between a viewer's position and a layer's slices."""

from __future__ import annotations

from typing import Any

import numpy as np

from tsain_core.inference.region import Region

from .stack import level_0


def current_index(viewer: Any, layer: Any) -> tuple[int, ...]:
    """The voxel of a layer that the viewer's sliders stand at, clipped to the layer."""
    # the sliders' own position: where the mouse is does not matter
    point = np.asarray(layer.world_to_data(viewer.dims.point), float)
    shape = level_0(layer).shape
    return tuple(int(np.clip(round(p), 0, n - 1)) for p, n in zip(point, shape, strict=False))


def slice_on_screen(viewer: Any, layer: Any, z_axis: int) -> int | None:
    """The slice of a layer that is shown; None beside the layer, or where z is a screen axis."""
    if not shows_slices(viewer, layer, z_axis):
        return None
    z = float(np.asarray(layer.world_to_data(viewer.dims.point))[z_axis])
    nearest = round(z)
    return nearest if 0 <= nearest < level_0(layer).shape[z_axis] else None


def shows_slices(viewer: Any, layer: Any, z_axis: int) -> bool:
    """Whether one slice at a time is shown: z is no axis of the screen."""
    return viewer.dims.ndim - layer.ndim + z_axis not in viewer.dims.displayed


def shows_plane(viewer: Any) -> bool:
    """Whether the screen's axes are y and x, the last two."""
    ndim = viewer.dims.ndim
    return tuple(viewer.dims.displayed) == (ndim - 2, ndim - 1)


def go_to_slice(viewer: Any, layer: Any, z_axis: int, z: float) -> None:
    """Move the viewer to a slice of a layer."""
    index = list(current_index(viewer, layer))
    index[z_axis] = z  # type: ignore[call-overload]
    axis = viewer.dims.ndim - layer.ndim + z_axis
    viewer.dims.set_point(axis, float(layer.data_to_world(index)[z_axis]))


def visible_rectangle(layer: Any) -> Region:
    """What the canvas shows of a layer, in pixels of level 0; all of it before it is drawn."""
    height, width = level_0(layer).shape[-2:]
    corners = np.asarray(layer.corner_pixels, float)[:, -2:]
    if layer.multiscale:
        corners = corners * np.asarray(layer.downsample_factors[layer.data_level])[-2:]
    (y0, x0), (y1, x1) = np.floor(corners[0]), np.ceil(corners[1]) + 1
    seen = Region(int(y0), int(x0), int(y1), int(x1)).clip((height, width))
    if min(seen.shape) < 2:
        return Region(0, 0, height, width)
    return seen


def camera_of(viewer: Any) -> Any:
    """The camera; napari 0.9 moved it into the scene."""
    scene = getattr(viewer, "scene", None)
    return viewer.camera if scene is None else scene.camera


def central(rectangle: Region, most: int) -> Region:
    """The middle of a rectangle, with sides of at most `most`."""
    height, width = (min(n, most) for n in rectangle.shape)
    y0 = rectangle.y0 + (rectangle.shape[0] - height) // 2
    x0 = rectangle.x0 + (rectangle.shape[1] - width) // 2
    return Region(y0, x0, y0 + height, x0 + width)
