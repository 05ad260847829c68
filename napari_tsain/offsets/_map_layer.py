"""The layer that shows a map over a part of a result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tsain_core.inference.region import Region

from ..layers.provenance import HELPER_KEY, z_axis_of
from ..layers.result import placed_like
from ..layers.stack import stack_axes

if TYPE_CHECKING:
    import napari
    from napari.layers import Image

_PLACE = ("scale", "rotate", "shear", "affine", "units", "axis_labels", "translate")


class MapLayer:
    """One Image layer at a time; it lies on the part of the result that it is of.

    Attributes
    ----------
    of : napari.layers.Image or None
        The result.
    """

    def __init__(self, viewer: napari.Viewer) -> None:
        self._viewer = viewer
        self._layer: Any = None
        self._index: tuple[int, ...] = ()
        self._corner = 0, 0
        self.of: Image | None = None

    def owns(self, layer: Any) -> bool:
        """Whether a layer is the map."""
        return self._layer is not None and bool(layer == self._layer)

    def forget(self, layer: Any) -> None:
        """A layer was removed, which may be this one."""
        if self.owns(layer):
            self._layer = self.of = None

    def clear(self) -> None:
        """Remove the layer."""
        layer, self._layer, self.of = self._layer, None, None
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)

    def show(
        self,
        image: NDArray[np.float32],
        name: str,
        of: Image,
        index: tuple[int, ...],
        region: Region,
    ) -> None:
        """Replace the map by another.

        Parameters
        ----------
        image : ndarray (y, x)
        name : str
            Of the layer.
        of : napari.layers.Image
            The result.
        index : tuple of int
            A voxel of the slice, in the result.
        region : Region
            The part of the slice.
        """
        self.clear()
        self._index, self._corner = index, (region.y0, region.x0)
        active = self._viewer.layers.selection.active
        self._layer = self._viewer.add_image(
            image.reshape((1,) * (of.ndim - 2) + image.shape),
            name=name,
            colormap="inferno",
            opacity=0.6,
            blending="translucent",
            contrast_limits=(0.0, max(float(np.percentile(image, 99.5)), 1e-3)),
            metadata={HELPER_KEY: "map"},
            **self._placed(of),
        )
        self.of = of
        self._viewer.layers.selection.active = active

    def follow(self) -> None:
        """Lie where the result lies now."""
        if self._layer is not None and self.of is not None:
            for key, value in self._placed(self.of).items():
                setattr(self._layer, key, value)

    def _placed(self, of: Image) -> dict[str, Any]:
        axis, index = z_axis_of(of), list(self._index)
        others = tuple(index[a] for a in stack_axes(of, axis))
        placed = placed_like(of, axis, others, index[axis], 1.0)
        index[-2:] = self._corner
        world = np.asarray(of.data_to_world(index))
        return {name: placed[name] for name in _PLACE} | {
            "translate": np.asarray(of.affine.inverse(world))
        }
