"""Layers as stacks, what they say of their slices, and interpolating them without a window."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import torch
from napari import layers

from napari_tsain import interpolate_layer
from napari_tsain.layers.origin import slice_origin
from napari_tsain.layers.provenance import LayerMarks, Parents, layer_marks, z_axis_of
from napari_tsain.layers.stack import stack_of
from support.gui import tissue
from tsain_core.errors import TsainError
from tsain_core.interpolation.schedule import by_factor


def source() -> layers.Image:
    return layers.Image(
        tissue(5, 32), name="stack", scale=(40, 4, 4), units="nanometer", translate=(1, 2, 3)
    )


def test_marks_survive_the_way_through_metadata() -> None:
    marks = LayerMarks(
        synthetic=(1, 3),
        provenance={"model": "mean", "z_step": "1/2"},
        source="/data/a.h5",
        dataset="volumes/raw",
        format="CREMI HDF5",
        z_axis=0,
        source_layer="stack",
        source_index=(2,),
        start=Fraction(1, 2),
        step=Fraction(2, 5),
        parents={1: Parents(0, 1, Fraction(1, 4))},
        computed=0,
    )
    layer = layers.Image(np.zeros((4, 8, 8)), metadata=marks.to_metadata())
    assert layer_marks(layer) == marks
    assert layer_marks(layers.Image(np.zeros((4, 8, 8)))) == LayerMarks()


def test_stack_of_a_layer_is_lazy_and_knows_its_geometry() -> None:
    read = []

    def note(block: np.ndarray) -> np.ndarray:
        read.append(block.shape)
        return block

    lazy = da.zeros((3, 4, 32, 32), dtype=np.uint8, chunks=(1, 1, 32, 32)).map_blocks(
        note, meta=np.zeros((0,) * 4, np.uint8)
    )
    layer = layers.Image(lazy, scale=(5, 40, 4, 4), contrast_limits=(0, 255), multiscale=False)
    read.clear()  # the layer itself read what it shows
    volume = stack_of(layer, 1, (2,))
    assert volume.shape == (4, 32, 32) and volume.voxel_size == (40, 4, 4)
    volume = stack_of(layer, 0, (3,))
    assert volume.shape == (3, 32, 32) and volume.voxel_size == (5, 4, 4)
    assert not read
    volume[1]
    assert read == [(1, 1, 32, 32)]


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (layers.Image(np.zeros((3, 8, 8, 3), np.uint8), rgb=True), "colour"),
        (layers.Image(np.zeros((8, 8), np.uint8)), "single image"),
        (layers.Image(np.zeros((3, 8, 8), np.float64)), "float64"),
        (layers.Image(np.zeros((3, 8, 8), bool)), "bool"),
    ],
)
def test_layers_that_are_no_stacks_are_refused(layer: layers.Image, reason: str) -> None:
    with pytest.raises(TsainError, match=reason):
        stack_of(layer)


def test_interpolates_a_layer_without_a_window() -> None:
    layer = source()
    result = interpolate_layer(layer, factor=2, model="mean")
    assert result.data.shape == (9, 32, 32)
    np.testing.assert_array_equal(result.data[::2], layer.data)
    mean = (layer.data[0].astype(float) + layer.data[1]) / 2
    assert np.abs(result.data[1] - mean).max() <= 1
    np.testing.assert_array_equal(result.scale, (20, 4, 4))
    np.testing.assert_array_equal(result.translate, layer.translate)


def test_interpolates_a_layer_to_a_file(tmp_path: Path) -> None:
    pytest.importorskip("napari_tsain.io")
    layer = source()
    result = interpolate_layer(layer, z_size=16, model="mean", output=tmp_path / "finer.zarr")
    in_memory = interpolate_layer(layer, z_size=16, model="mean")
    np.testing.assert_array_equal(np.asarray(result.data), in_memory.data)
    assert layer_marks(result).synthetic == layer_marks(in_memory).synthetic


def test_origin_of_a_computed_slice_is_in_the_source_layer() -> None:
    layer = source()
    result = interpolate_layer(layer, z_size=16, model="mean")  # real slices at 0 and 5 only
    origin = slice_origin(result, 3, [layer, result])  # at 1.2 slices of the source
    np.testing.assert_array_equal(origin.before, layer.data[1])
    np.testing.assert_array_equal(origin.after, layer.data[2])
    assert origin.before_z == 2.5 and origin.after_z == 5.0
    assert origin.fraction == Fraction(1, 5)
    with pytest.raises(TsainError, match="not in it"):
        slice_origin(result, 3, [result])  # the source is closed


def test_origin_without_the_source_is_in_the_result_itself() -> None:
    layer = source()
    result = interpolate_layer(layer, factor=4, damaged=[2], model="tsain-lite")
    alone = slice_origin(result, 6, [result])
    both = slice_origin(result, 6, [layer, result])
    assert alone.fraction == both.fraction == Fraction(1, 4)
    assert (alone.before_z, alone.after_z) == (both.before_z, both.after_z) == (4, 12)
    np.testing.assert_array_equal(alone.after, both.after)


def test_origin_agrees_with_the_schedule_everywhere() -> None:
    layer = source()
    for factor, damaged in ((2, ()), (4, (1, 2)), (8, (3,)), (1, (1, 2, 3))):
        schedule = by_factor(5, factor, damaged)
        result = interpolate_layer(layer, factor=factor, damaged=damaged, model="mean")
        plan = LayerMarks(
            synthetic=schedule.synthetic, provenance={"z_step": str(schedule.step)}
        ).to_metadata()
        loaded = layers.Image(result.data, metadata=plan)  # as read from a file
        for z in schedule.synthetic:
            origin, wanted = slice_origin(loaded, z), schedule.slices[z]
            assert origin.fraction == wanted.fraction
            np.testing.assert_array_equal(origin.before, layer.data[wanted.before])
            np.testing.assert_array_equal(origin.after, layer.data[wanted.after])


def test_a_real_slice_has_no_origin() -> None:
    layer = source()
    with pytest.raises(TsainError, match="no computed slices"):
        slice_origin(layer, 1, [layer])
    result = interpolate_layer(layer, factor=2, model="mean")
    with pytest.raises(TsainError, match="go to slice 1"):
        slice_origin(result, 2, [layer])
    assert z_axis_of(result) == 0


@pytest.mark.parametrize(
    "shape, z_axis, index",
    [
        ((2, 4, 16, 20), None, ()),
        ((2, 4, 16, 20), None, (1,)),
        ((4, 2, 16, 20), 0, (1,)),
        ((2, 3, 4, 16, 20), None, ()),
        ((2, 3, 4, 16, 20), None, (1, 2)),
        ((2, 4, 3, 16, 20), 1, (1, 2)),
    ],
)
def test_layers_with_more_axes(
    shape: tuple[int, ...], z_axis: int | None, index: tuple[int, ...]
) -> None:
    """Along the other axes the place that is given, or the first; as the dock places results."""
    data = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
    scale = tuple(range(2, 2 + len(shape)))
    layer = layers.Image(data, scale=scale, name="many", rgb=False)
    result = interpolate_layer(layer, factor=2, model="mean", z_axis=z_axis, index=index)
    axis = len(shape) - 3 if z_axis is None else z_axis
    where = list(index or (0,) * (len(shape) - 3))
    stack = data[tuple(slice(None) if a == axis else where.pop(0) for a in range(len(shape) - 2))]
    np.testing.assert_array_equal(np.asarray(result.data).reshape(7, 16, 20)[::2], stack)
    assert result.ndim == layer.ndim and result.data.shape[axis] == 7
    place = list(index or (0,) * (len(shape) - 3))
    first = [0 if a == axis else place.pop(0) for a in range(len(shape) - 2)] + [0, 0]
    np.testing.assert_allclose(result.data_to_world((0,) * len(shape)), layer.data_to_world(first))


@pytest.mark.parametrize(
    "layer, options, message",
    [
        (layers.Labels(np.zeros((4, 16, 16), np.uint8)), {}, "Labels layer"),
        (layers.Labels(np.zeros((2, 4, 16, 16), np.int32)), {}, "Labels layer"),
        (layers.Points(np.zeros((4, 3))), {}, "Points layer"),
        (layers.Shapes(np.zeros((4, 3))), {}, "Shapes layer"),
        (layers.Image(np.zeros((2, 4, 16, 16), np.uint8)), {"index": (2,)}, "2,.*places"),
        (layers.Image(np.zeros((2, 4, 16, 16), np.uint8)), {"index": (-1,)}, "one number for"),
        (layers.Image(np.zeros((2, 4, 16, 16), np.uint8)), {"index": (0, 0)}, "one number for"),
        (layers.Image(np.zeros((4, 16, 16), np.uint8)), {"index": (0,)}, "one number for"),
        (layers.Image(np.zeros((4, 16, 16), np.uint8)), {"z_axis": 1}, "Axis 1"),
        (layers.Image(np.zeros((4, 16, 16), np.uint8)), {"factor": 99}, "factor"),
    ],
)
def test_refused_before_anything_is_computed(
    layer: layers.Layer, options: dict[str, object], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "tsain_core.inference.models.BaselineModel.between", lambda *_: pytest.fail("it computes")
    )
    with pytest.raises(TsainError, match=message):
        interpolate_layer(layer, **{"factor": 2, "model": "mean", **options})


@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="one process has all cores")
def test_napari_leaves_each_worker_its_one_thread() -> None:
    """Its kernels for labels start Numba's threads, which sets the number of torch's, too."""
    labels = layers.Labels(np.ones((8, 8), np.uint8))
    labels.set_view_slice()
    assert torch.get_num_threads() == 1
