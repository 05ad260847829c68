"""The `tsain` command that does what a request says."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from ..inference.models import InferenceSettings
from ..interpolation.request import CAREFUL, InterpolationRequest
from ..interpolation.selection import SliceSelection, format_slices
from ..volumes.zarr_layout import ZarrLayout, default_version


def as_command(request: InterpolationRequest) -> str:
    """The `tsain interpolate` command for a request, quoted for a shell.

    What is as by default is left out.
    """
    r = request
    words = ["tsain", "interpolate", r.source, r.output]
    words += _option("dataset", r.dataset)
    words += _option("voxel_size", r.voxel_size)
    words += _option("unit", r.unit)
    words += _option("z_range", r.z_range)
    words += _option("region", r.region)
    words += _of_selection(r.selection, r.z_range[0] if r.z_range else 0)
    words += _option("repair_mask", r.repair_mask)
    words += _option("mask_dataset", r.mask_dataset)
    words += _option("labels", r.labels)
    words += _option("labels_dataset", r.labels_dataset)
    words += _option("labels_output", r.labels_output)
    words += _option("uncertainty", r.uncertainty)
    words += ["--model", r.model]
    words += _option("mix", r.mix)
    words += _option("mean_shares", r.inference.mean_shares)
    words += _changed(r.inference, InferenceSettings(), "own_shares", "brightness_slices")
    words += _changed(r.inference, InferenceSettings(), "device", "precision", "tile", "halo")
    words += _changed(r.inference, InferenceSettings(), "detail", "ensemble", "compile")
    words += _changed(r.inference, InferenceSettings(), "align", "match_brightness")
    words += _option("range", r.intensity)
    words += _of_layout(r.layout)
    if not r.in_blocks:
        words += _option("compression", r.compression)
    words += _option("memory", r.memory)
    words += _option("threads", r.threads)
    words += _changed(r.policy, CAREFUL, "overwrite", "restart", "leave_out_failed")
    words += _changed(r.policy, CAREFUL, "accept_changed_input")
    words += _option("workers", r.cluster.workers or None)
    words += _option("dask", r.cluster.address)
    return shlex.join(words)


def _of_selection(selection: SliceSelection, first: int) -> Iterator[str]:
    """The options count slices as the whole stack does, of which slice `first` is our 0."""
    between = selection.between
    yield from _option("between", between and tuple(z + first for z in between))
    yield from _option("factor", selection.factor)
    yield from _option("z_size", selection.z_size)
    if selection.damaged:
        yield from ("--replace", format_slices([z + first for z in selection.damaged]))


def _of_layout(layout: ZarrLayout) -> Iterator[str]:
    usual = ZarrLayout(default_version())
    yield from _changed(layout, usual, "chunks", "shards", "compression")
    if layout.version != usual.version:
        yield from ("--ome-zarr", layout.version)
    if not layout.pyramid:
        yield "--no-pyramid"


def _changed(values: object, usual: object, *names: str) -> Iterator[str]:
    """Options for the fields of these names that are not as usual."""
    for name in names:
        value = getattr(values, name)
        if value != getattr(usual, name):
            yield from _option(name, value)


def _option(name: str, value: object) -> Iterator[str]:
    """A word for the option, and for each of its values; none for None."""
    if value is None or value is False:
        return
    yield f"--{name.replace('_', '-')}"
    if value is True:
        return
    for one in value if isinstance(value, Sequence) and not isinstance(value, str) else (value,):
        yield _number(one) if isinstance(one, float) else str(one)


def _number(value: float) -> str:
    """A number as short as it may be, without loss."""
    short = f"{value:g}"
    return short if float(short) == value else repr(float(value))
