"""What runs in the worker: generators that know neither layers nor Qt."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from tsain_core.inference.intensity import IntensityRange, estimate_range
from tsain_core.inference.models import NetworkModel, model_files, open_network
from tsain_core.inference.nonfinite import fill_pair
from tsain_core.inference.region import Region
from tsain_core.offsets import MapKind, MapPart, SamplingProbe, sampling_map

from ..layers.origin import SliceOrigin
from ..layers.provenance import LayerMarks


class ProbeCache:
    """The probe used last, and the network opened last. Jobs use it one at a time."""

    def __init__(self) -> None:
        self._key: Any = None
        self.probe: SamplingProbe | None = None
        self._model: tuple[str, float, NetworkModel] | None = None

    def open(self, key: Any, origin: SliceOrigin, marks: LayerMarks, name: str) -> SamplingProbe:
        """The probe for a slice; `key` tells slices apart."""
        if self.probe is None or key != self._key:
            model = self._network(name)
            intensity = _intensity(origin, marks, model)
            before, after = (intensity.to_unit(image) for image in (origin.before, origin.after))
            pair = fill_pair(before, after)
            fraction = origin.exact if model.any_position else origin.fraction
            self.probe = SamplingProbe(model, pair.before, pair.after, fraction)
            self._key = key
        return self.probe

    def ready(self, key: Any, y: float, x: float) -> SamplingProbe | None:
        """The probe, if it answers a query without computing."""
        probe = self.probe
        return probe if probe is not None and key == self._key and probe.knows(y, x) else None

    def _network(self, name: str) -> NetworkModel:
        file = model_files().get(name, Path(name))
        changed = file.stat().st_mtime if file.is_file() else 0.0
        if self._model is None or self._model[:2] != (name, changed):
            self._model = name, changed, open_network(name)
        return self._model[2]


def query(
    cache: ProbeCache,
    key: Any,
    origin: SliceOrigin,
    marks: LayerMarks,
    name: str,
    y: float,
    x: float,
) -> Generator[None, None, SamplingProbe]:
    """Make the probe of a slice answer queries round (y, x)."""
    yield
    probe = cache.open(key, origin, marks, name)
    yield
    probe.at(y, x)
    return probe


def view_map(
    cache: ProbeCache,
    key: Any,
    origin: SliceOrigin,
    marks: LayerMarks,
    name: str,
    region: Region,
    kind: MapKind,
    part: MapPart,
) -> Generator[tuple[int, int], None, NDArray[Any]]:
    """A map over a region of a slice."""
    yield 0, 1
    probe = cache.open(key, origin, marks, name)
    return (yield from sampling_map(probe, region, kind, part))


def _intensity(origin: SliceOrigin, marks: LayerMarks, model: NetworkModel) -> IntensityRange:
    """The range that the slice was computed with, where that is known."""
    said = marks.provenance.get("intensity_range")
    if isinstance(said, list | tuple) and len(said) == 2:
        return IntensityRange(float(said[0]), float(said[1]))
    return estimate_range(origin.stack, model.scaling)
