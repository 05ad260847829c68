"""The layers that show sampling points: made once, then moved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tsain_core.offsets import QueryPoints, Reached, TapPoints

from ..layers.provenance import HELPER_KEY
from ..layers.view import camera_of

if TYPE_CHECKING:
    import napari
    from napari.layers import Image, Points

QUERY = "Query"
STEPS = ("RSAB step 1", "RSAB step 2", "RSAB step 3")
TRACE = "RSAB steps 1 to 3 together"
REAL = "Sampled in the real slices"
#: Of Okabe and Ito, which colour-blind people can tell apart.
STEP_COLORS = ("#d55e00", "#f0e442", "#56b4e9")
GROUP_COLORS = (
    "#e69f00",
    "#56b4e9",
    "#cc79a7",
    "#f0e442",
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#ffffff",
)
_QUERY_COLOR = "#00ff00"
_FAINTEST = 0.15  # opacity of a point whose mask is 0
_LEAST, _MOST = 6.0, 20.0  # pixels of the screen that points measure
_RING = 2.5  # diameter of the query's ring over that of other points


class Overlay:
    """Points layers over an Image layer; they lie in its own coordinates.

    Parameters
    ----------
    viewer : napari.Viewer
    size : float
        Diameter of points in pixels of the image; on the screen they are neither too small to be
        seen nor so large that they cover the image.

    Attributes
    ----------
    of : napari.layers.Image or None
        The image that points are shown of.
    """

    def __init__(self, viewer: napari.Viewer, size: float = 1.5) -> None:
        self._viewer, self.size = viewer, size
        self._layers: dict[str, Points] = {}
        self.of: Image | None = None
        self._relative: dict[str, float] = {}  # diameters over those of ordinary points

    def owns(self, layer: Any) -> bool:
        """Whether a layer is one of these."""
        return any(layer == own for own in self._layers.values())

    def forget(self, layer: Any) -> None:
        """The user removed a layer."""
        self._layers = {n: own for n, own in self._layers.items() if own != layer}

    def clear(self) -> None:
        """Remove all layers."""
        layers, self._layers, self.of = self._layers, {}, None
        for layer in layers.values():
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)

    def hide(self, name: str) -> None:
        """Empty a layer, if it is there."""
        if name in self._layers:
            layer = self._layers[name]
            layer.data = np.empty((0, layer.ndim))

    def show_query(self, image: Image, at: Sequence[float]) -> None:
        """Move the query point."""
        self._put(image, QUERY, np.array([at], float), _QUERY_COLOR, np.ones(1), {}, _RING)

    def show_steps(
        self, image: Image, points: QueryPoints, place: SliceCoordinates, shown: Sequence[int]
    ) -> None:
        """Show the chosen steps (from 0), hide the others."""
        for i, name in enumerate(STEPS):
            if i not in shown or i >= len(points.rsab):
                self.hide(name)
                continue
            taps = points.rsab[i]
            features = {"step": np.full(taps.mask.size, i + 1), **_features(taps)}
            self._put(image, name, place.at(taps), STEP_COLORS[i], taps.mask.ravel(), features)

    def show_trace(self, image: Image, reached: Reached, place: SliceCoordinates) -> None:
        """Show what the last step reaches in the input of the first."""
        data = place.at_yx(reached.y, reached.x)
        features = {"weight": reached.weight}
        # the square root: the outermost of many places would not be seen
        self._put(image, TRACE, data, STEP_COLORS[2], np.sqrt(reached.weight), features, 0.6)

    def show_real(self, image: Image, sides: dict[int, tuple[TapPoints, SliceCoordinates]]) -> None:
        """Show points in the two real slices, coloured by group."""
        data, colors, masks, features = [], [], [], []
        for side, (taps, place) in sides.items():
            groups = np.repeat(np.arange(taps.mask.shape[0]), 9)
            data.append(place.at(taps))
            colors += [GROUP_COLORS[g % len(GROUP_COLORS)] for g in groups]
            masks.append(taps.mask.ravel())
            features.append({"side": np.full(groups.size, side), "group": groups} | _features(taps))
        joined = {k: np.concatenate([f[k] for f in features]) for k in features[0]}
        self._put(image, REAL, np.concatenate(data), colors, np.concatenate(masks), joined)

    def _put(
        self,
        image: Image,
        name: str,
        data: NDArray[Any],
        color: str | Sequence[str],
        strength: NDArray[Any],
        features: dict[str, Any],
        scale: float = 1.0,
    ) -> None:
        self.of = image
        layer = self._layers.get(name)
        if layer is None or layer.ndim != image.ndim:
            layer = self._make(image, name)
        with layer.events.data.blocker(), layer.events.size.blocker():
            layer.data = data
            layer.features = features
        self._relative[name] = scale
        layer.size = self._diameter(layer) * scale
        if name == QUERY:  # a ring: points that lie close together are seen in it
            layer.border_color, layer.face_color = _rgba(color, strength), "transparent"
        else:
            layer.face_color = _rgba(color, strength)
        layer.refresh()
        layer.events.data(value=layer.data, action="changed", data_indices=(), vertex_indices=())
        layer.selected_data = set()

    def _make(self, image: Image, name: str) -> Points:
        if name in self._layers:
            self._viewer.layers.remove(self._layers.pop(name))
        active = self._viewer.layers.selection.active
        self._layers[name] = self._viewer.add_points(
            np.empty((0, image.ndim)),
            name=name,
            border_width=0.1,
            border_color="black",
            # none at the least, or napari draws a dot at (0, 0) when no point is in the slice
            canvas_size_limits=(0, 10_000),
            metadata={HELPER_KEY: "sampling"},
            **_placed(image),
        )
        # the image stays the one that is looked at and panned
        self._viewer.layers.selection.active = active
        if name != QUERY and QUERY in self._layers:  # which nothing may cover
            layers = self._viewer.layers
            layers.move(layers.index(self._layers[QUERY]), len(layers))
        return self._layers[name]

    def zoomed(self) -> None:
        """Let points stay visible: the canvas shows more or less of the image now."""
        for name, layer in self._layers.items():
            diameter = self._diameter(layer) * self._relative.get(name, 1.0)
            if len(layer.data) and not np.allclose(layer.size, diameter):
                layer.size = diameter

    def _diameter(self, layer: Points) -> float:
        """Of ordinary points, in pixels of the image."""
        on_screen = camera_of(self._viewer).zoom * abs(float(layer.scale[-1]))
        if on_screen <= 0:
            return self.size
        return min(max(self.size, _LEAST / on_screen), _MOST / on_screen)

    def follow(self, image: Image) -> None:
        """Lie where the image lies now."""
        for layer in self._layers.values():
            for key, value in _placed(image).items():
                setattr(layer, key, value)


class SliceCoordinates:
    """Puts (y, x) of a slice into the coordinates of a layer.

    Parameters
    ----------
    index : sequence of float
        A voxel of the slice, in as many axes as the layer has; y and x are replaced.
    """

    def __init__(self, index: Sequence[float]) -> None:
        self.index = tuple(index)

    def at_yx(self, y: NDArray[Any], x: NDArray[Any]) -> NDArray[np.float64]:
        """(n, ndim) from y and x of any shape."""
        out = np.tile(np.array(self.index, float), (y.size, 1))
        out[:, -2], out[:, -1] = y.ravel(), x.ravel()
        return out

    def at(self, taps: TapPoints) -> NDArray[np.float64]:
        """(groups * 9, ndim) of sampling points."""
        return self.at_yx(taps.y, taps.x)


def _features(taps: TapPoints) -> dict[str, Any]:
    tap = np.tile(np.arange(9), taps.mask.shape[0])
    values = {"dy": taps.dy, "dx": taps.dx, "mask": taps.mask}
    return {"tap": tap, **{name: value.ravel() for name, value in values.items()}}


def _rgba(color: str | Sequence[str], strength: NDArray[Any]) -> NDArray[np.float32]:
    """Colours (n, 4) whose opacity says how much a point counts."""
    from napari.utils.colormaps.standardize_color import transform_color

    rgba = np.array(transform_color([color] if isinstance(color, str) else list(color)))
    rgba = np.array(np.broadcast_to(rgba, (len(strength), 4)), np.float32)
    rgba[:, 3] = _FAINTEST + (1 - _FAINTEST) * np.clip(strength, 0, 1)
    return rgba


def _placed(image: Image) -> dict[str, Any]:
    names = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")
    return {name: getattr(image, name) for name in names}
