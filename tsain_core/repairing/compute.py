"""Compute the masked pixels of a stack from the slices round them; all others stay as they are."""

from __future__ import annotations

import os
from collections.abc import Collection, Generator, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
from numpy.typing import NDArray

from ..blockwise.fingerprint import fingerprint
from ..blockwise.slice_run import slice_run
from ..errors import TsainError
from ..inference.brightness import Brighter, find_shifts
from ..inference.intensity import IntensityRange, estimate_range
from ..inference.models import SliceModel
from ..interpolation.interpolate import SliceReady, TileProgress, interpolate
from ..interpolation.schedule import OutputSlice, Schedule, reachable_fraction
from ..interpolation.to_file import provenance, write_slices
from ..volumes import Volume, create_volume
from ..volumes._marks import Marks
from ..volumes.writer import Target
from ..volumes.zarr_layout import ZarrLayout, default_version
from .blend import blend
from .mask import RepairMask
from .patches import Patch, Places, windows

#: The slices of a repaired stack are those of its source.
AS_SOURCE = Fraction(1)


def repair(
    volume: Volume,
    mask: RepairMask,
    model: SliceModel,
    intensity: IntensityRange | None = None,
    done: Collection[int] = (),
) -> Generator[TileProgress | SliceReady, None, None]:
    """Compute the masked pixels of a stack.

    Parameters
    ----------
    volume : Volume
    mask : RepairMask
        Of its shape.
    model : SliceModel
    intensity : IntensityRange, optional
        Of the whole volume; None estimates it as the model's weights expect.
    done : collection of int
        Slices that are left out.

    Yields
    ------
    TileProgress or SliceReady
        Each other slice once, in ascending order of z; `total` is the number of slices with masked
        pixels. Pixels that are not masked are the very values of the source.

    Raises
    ------
    TsainError
        If masked pixels have no real ones on both sides, or the model computes values that are not
        finite.
    """
    intensity = intensity or estimate_range(volume, model.scaling)
    places = Places(volume, mask)
    for z in mask.slices:
        places.patches(z)  # what cannot be computed is told before anything is
    wanted, left_out = set(mask.slices), set(done)
    reached, total = len(wanted & left_out), len(wanted)
    brightness = _Brightness(volume, mask, model)
    for z in range(volume.shape[0]):
        if z in left_out:
            continue
        image = volume[z]
        if z in wanted:
            image = image.copy()
            patches = places.patches(z)
            for i, patch in enumerate(patches):
                for share in _mend(image, patch, places, model, intensity, brightness):
                    yield TileProgress(z, reached + (i + share) / len(patches), total)
            reached += 1
        yield SliceReady(z, image, synthetic=mask.whole(z))


class _Brightness:
    """What slices get that are computed as a whole; parts are fitted to the pixels round them."""

    def __init__(self, volume: Volume, mask: RepairMask, model: SliceModel) -> None:
        self.volume = volume
        self._count = model.brightness_slices
        self._whole = frozenset(mask.whole_slices) if self._count > 1 else frozenset()
        self._shifts: dict[tuple[int, int], float] = {}

    def of(self, patch: Patch, pair: NDArray[Any]) -> Brighter | None:
        """Of a patch, from the slices (2, y, x) round it, in the grey values of the volume."""
        if patch.z not in self._whole:
            return None
        ends = patch.before, patch.after
        if ends not in self._shifts:
            found = find_shifts(self.volume, [ends], self._count, self._whole)
            self._shifts[ends] = found.get(ends[0], 0.0)
        before, after = pair.astype(self.volume.dtype)
        return Brighter.between(before, after, self._shifts[ends], IntensityRange(0, 1))


def _mend(
    image: NDArray[Any],
    patch: Patch,
    places: Places,
    model: SliceModel,
    intensity: IntensityRange,
    brightness: _Brightness,
) -> Iterator[float]:
    """Write the pixels of a patch into its slice; yields the share that is done."""
    volume = brightness.volume
    size = volume.shape[1:]
    computed = np.full(patch.box.shape, np.nan)
    multiple = model.tiled.multiple if model.tiled else 1
    parts = list(windows(patch, size, multiple))
    fraction = Fraction(patch.z - patch.before, patch.after - patch.before)
    if not model.any_position:
        fraction = reachable_fraction(fraction, patch.after - patch.before)
    one = Schedule((OutputSlice(fraction, 0, 1, fraction),), AS_SOURCE, shifts={})
    for i, (box, window) in enumerate(parts):
        pair = real_pair(volume, places, (patch.before, patch.after), window)
        brighter = brightness.of(patch, pair)
        small = Volume(da.from_array(pair, chunks=(1, -1, -1)))
        for event in interpolate(small, one, model, intensity):
            if isinstance(event, TileProgress):
                yield (i + event.done / event.total) / len(parts)
            else:
                made = brighter.add(event.image, fraction) if brighter else event.image
                computed[box.within(patch.box).slices] = made[box.within(window).slices]
    y, x = patch.box.slices
    values = blend(image[y, x].astype(float), computed, patch.mask)
    image[y, x][patch.mask] = intensity.stored(values[patch.mask], image.dtype)


def real_pair(volume: Volume, places: Places, ends: tuple[int, int], window: Any) -> NDArray[Any]:
    """Two slices of a window (2, y, x), float32; what is not real in one comes from the other."""
    y, x = window.slices
    pair = [volume.read(slice(z, z + 1), y, x)[0].astype(np.float32) for z in ends]
    unreal = [places.unreal(z, window) for z in ends]
    for z, i in zip(ends, (0, 1), strict=True):
        if (never := volume.missing(pair[i].astype(volume.dtype), z, y.start, x.start)) is not None:
            unreal[i] |= never
    for i in (0, 1):
        swap = unreal[i] & ~unreal[1 - i]
        pair[i][swap] = pair[1 - i][swap]
    return np.stack(pair)


def repair_provenance(
    volume: Volume, model: SliceModel, intensity: IntensityRange
) -> dict[str, object]:
    """What a repaired stack says about how it was made; JSON-able."""
    whole = Schedule((OutputSlice(Fraction(0), 0, 0, Fraction(0)),), AS_SOURCE)
    return {
        **provenance(volume, whole, model.provenance(), intensity),
        "repaired": "masked pixels, blended by a membrane",
    }


def repair_to_file(
    volume: Volume,
    path: str | os.PathLike[str],
    mask: RepairMask,
    model: SliceModel,
    intensity: IntensityRange | None = None,
    *,
    overwrite: bool = False,
    compression: int | None = None,
    restart: bool = False,
) -> Generator[TileProgress | SliceReady, None, None]:
    """Compute the masked pixels of a stack, and write all of it, slice by slice.

    The result appears under `path` when it is complete. An OME-Zarr goes on where an earlier run of
    the same was stopped.

    Parameters
    ----------
    volume, mask, model, intensity
        As `repair`.
    path : path
        .tif, .h5 or .zarr.
    overwrite : bool
        Replace an existing result, at the end.
    compression : int, optional
        Level, 0 (none) to 9; the format's usual one by default.
    restart : bool
        Forget what an unfinished run has left.

    Yields
    ------
    TileProgress or SliceReady

    Raises
    ------
    TsainError
        As `repair`, and if the result cannot be written or would overwrite the source.
    """
    if "://" in os.fspath(path):
        raise TsainError(
            f"{path} is a remote place; a stack that is repaired by a mask is written to a file "
            "here: write it to this machine and copy it."
        )
    intensity = intensity or estimate_range(volume, model.scaling)
    synthetic = tuple(sorted({*volume.synthetic, *mask.whole_slices}))
    partial, about = merged_partial(volume, mask), repair_provenance(volume, model, intensity)
    if Path(path).suffix.lower() == ".zarr":
        target = Target(
            volume.shape,
            volume.dtype,
            volume.voxel_size,
            volume.unit,
            volume.offset,
            Marks(synthetic, about, partial=partial),
            os.path.basename(path),
        )
        begun = slice_run(
            Path(path),
            target,
            _settings(volume, mask, model, intensity),
            layout=_layout(compression),
            source=volume.source,
            overwrite=overwrite,
            restart=restart,
        )
        with begun as (run, done):
            yield from write_slices(repair(volume, mask, model, intensity, done), run)
        return
    with create_volume(
        path,
        volume.shape,
        volume.dtype,
        voxel_size=volume.voxel_size,
        unit=volume.unit,
        offset=volume.offset,
        synthetic=synthetic,
        partial=partial,
        provenance=about,
        overwrite=overwrite,
        source=volume.source,
        compression=compression,
    ) as writer:
        yield from write_slices(repair(volume, mask, model, intensity), writer)


def _settings(
    volume: Volume, mask: RepairMask, model: SliceModel, intensity: IntensityRange
) -> dict[str, object]:
    """What must be the same in a run that goes on."""
    return {
        "input": fingerprint(volume),
        "mask": mask.digest,
        "model": {**model.provenance(), "device": model.device.type},
        "intensity range": [intensity.lo, intensity.hi],
        "voxel size": [volume.voxel_size, volume.unit, volume.offset],
    }


def _layout(compression: int | None) -> ZarrLayout:
    usual = ZarrLayout(default_version())
    return usual if compression is None else replace(usual, compression=compression)


def merged_partial(volume: Volume, mask: RepairMask) -> dict[int, Any]:
    """Slices that are partly computed: now, or already in the source."""
    gone = {*volume.synthetic, *mask.whole_slices}
    found = {z: part for z, part in volume.partial.items() if z not in gone}
    for z, part in mask.partial().items():
        if z in gone:
            continue
        old = found.get(z)
        # of two masks together neither number nor digest is known
        if old is not None:
            part = replace(part, boxes=(*old.boxes, *part.boxes), pixels=None, mask_digest="")
        found[z] = part
    return found
