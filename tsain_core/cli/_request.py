"""From the options of a command to the request of a run."""

from __future__ import annotations

import argparse
from typing import Any

from ..errors import TsainError
from ..interpolation.request import Cluster, InterpolationRequest, RunPolicy
from ..interpolation.selection import SliceSelection
from ..volumes.zarr_layout import ZarrLayout
from ._options import inference_settings


def request_of(args: argparse.Namespace, output: str) -> InterpolationRequest:
    """The run that the options describe, to an output, in this process.

    Raises
    ------
    TsainError
        If they contradict each other.
    """
    return InterpolationRequest(
        args.input,
        output,
        args.dataset,
        _numbers(args.voxel_size),
        args.unit,
        selection_of(args),
        args.model,
        inference_settings(args),
        _numbers(args.range),
        layout_of(args),
        args.memory,
        args.threads,
        _numbers(args.z_range),
        _numbers(args.region),
        args.compression,
        getattr(args, "repair_mask", None),  # of interpolate only
        getattr(args, "mask_dataset", None),
        getattr(args, "labels", None),
        getattr(args, "labels_dataset", None),
        getattr(args, "labels_output", None),
        getattr(args, "uncertainty", False),
        getattr(args, "mix", False),
    )


def policy_of(args: argparse.Namespace) -> RunPolicy:
    """What becomes of earlier runs and of failures."""
    return RunPolicy(args.overwrite, args.restart, args.leave_out_failed, args.accept_changed_input)


def cluster_of(args: argparse.Namespace) -> Cluster:
    """Where the options want blocks to be computed."""
    return Cluster(args.workers, args.dask)


def layout_of(args: argparse.Namespace) -> ZarrLayout:
    """How an OME-Zarr is stored."""
    level = ZarrLayout(args.ome_zarr).compression if args.compression is None else args.compression
    shards = _numbers(args.shards)
    return ZarrLayout(args.ome_zarr, tuple(args.chunks), shards, not args.no_pyramid, level)


def selection_of(args: argparse.Namespace) -> SliceSelection:
    """Which slices the options want, counted in the part of the stack that they take.

    Raises
    ------
    TsainError
        If a slice lies outside that part.
    """
    damaged, between = tuple(args.replace), _numbers(args.between)
    if args.z_range:
        first, end = args.z_range
        for z in (*damaged, *(between or ())):
            if not first <= z < end:
                raise TsainError(
                    f"Slice {z} is not among the slices {first} to {end - 1} of --z-range; slices "
                    "are counted as the whole stack does: correct one of the options."
                )
        damaged = tuple(z - first for z in damaged)
        between = between and (between[0] - first, between[1] - first)
    return SliceSelection(args.factor, args.z_size, damaged, between)


def _numbers(values: Any) -> Any:
    """A tuple, or None where the option was not given."""
    return tuple(values) if values else None
