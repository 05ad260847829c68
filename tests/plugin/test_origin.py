"""Which layer a result was computed from: by what is in it, not by its name."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import dask.array as da
import numpy as np
import pytest
from napari import layers
from numpy.typing import NDArray

from napari_tsain import interpolate_layer
from napari_tsain.layers.origin import slice_origin, source_layer
from napari_tsain.layers.provenance import layer_marks
from tsain_core.errors import TsainError


def grey(seed: int, shape: tuple[int, ...] = (6, 24, 20), dtype: Any = np.uint8) -> NDArray[Any]:
    return np.random.default_rng(seed).integers(0, 200, shape).astype(dtype)


def image(data: Any, name: str = "stack", **options: Any) -> Any:
    return layers.Image(data, name=name, **({"scale": (40, 4, 4)} | options))


def finer(source: Any, **options: Any) -> Any:
    """Real slices at 0 and 5 only: others are in the source alone."""
    return interpolate_layer(source, model="mean", **({"z_size": 16} | options))


def decoys(data: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Stacks that are not the source, though each is like it in some way."""
    altered = data.copy()
    altered[0, 12, 10] += 1
    shifted = np.roll(data, 1, axis=0)
    return {
        "other contents": grey(99, data.shape, data.dtype),
        "one pixel": altered,
        "order": data[::-1].copy(),
        "shifted": shifted,
        "cut": data[:, :-1],
        "thin": data[:2],
        "type": data.astype(np.float32),
        "constant": np.zeros_like(data),
    }


def test_a_renamed_source_is_found_and_its_name_deceives_nobody() -> None:
    source = image(grey(1))
    result = finer(source)
    wanted = source.data[1].copy()
    source.name = "raw data, renamed"
    for kind, data in decoys(source.data).items():
        decoy = image(data, "stack")
        assert layer_marks(result).source_layer == decoy.name
        for order in ([decoy, source, result], [result, source, decoy], [source, decoy]):
            assert source_layer(result, order) == source, kind
            origin = slice_origin(result, 3, order)
            np.testing.assert_array_equal(origin.before, wanted, err_msg=kind)
        assert source_layer(result, [decoy, result]) is None, kind
        with pytest.raises(TsainError, match="open the stack that it was computed from"):
            slice_origin(result, 3, [decoy, result])


def test_real_slices_in_the_result_itself_need_no_source() -> None:
    source = image(grey(1))
    result = interpolate_layer(source, factor=2, model="mean")
    decoy = image(grey(2), "stack")
    for among in ([], [decoy], [decoy, source]):
        origin = slice_origin(result, 3, among)
        np.testing.assert_array_equal(origin.before, source.data[1])
        np.testing.assert_array_equal(origin.after, source.data[2])
        assert (origin.before_z, origin.after_z) == (2, 4)


def test_damaged_slices_are_known_from_the_real_ones_beside_them() -> None:
    source = image(grey(1))
    result = interpolate_layer(source, damaged=[2, 3], factor=1, model="mean")
    source.data = grey(5)  # replaced since
    origin = slice_origin(result, 2, [source, result])
    np.testing.assert_array_equal(origin.before, result.data[1])
    np.testing.assert_array_equal(origin.after, result.data[4])


@pytest.mark.parametrize("kind", ["lazy", "float with NaN", "multiscale", "between"])
def test_sources_of_every_kind(kind: str) -> None:
    data = grey(3, dtype=np.float32 if kind.startswith("float") else np.uint16)
    options: dict[str, Any] = {}
    if kind.startswith("float"):
        data[0, 3, 4] = np.nan
    if kind == "lazy":
        source = image(da.from_array(data, chunks=(1, -1, -1)))
    elif kind == "multiscale":
        source = image([data, data[:, ::2, ::2]], multiscale=True)
    else:
        source = image(data)
    if kind == "between":
        options = {"z_size": None, "between": (1, 5), "factor": 3}
        result = interpolate_layer(source, model="mean", between=(1, 5), factor=3)
    else:
        result = finer(source, **options)
    z = layer_marks(result).synthetic[1]
    source.name = "other"
    assert source_layer(result, [result, image(grey(9), "stack"), source]) == source
    parents = layer_marks(result).parents[z]
    origin = slice_origin(result, z, [source, result])
    np.testing.assert_array_equal(origin.before, data[parents.before])
    np.testing.assert_array_equal(origin.after, data[parents.after])


def test_a_time_point_of_a_series() -> None:
    series = {"scale": (1, 40, 4, 4)}
    source = image(grey(4, (3, 6, 24, 20)), **series)
    result = finer(source, index=(2,))
    source.name = "series"
    swapped = image(source.data[::-1].copy(), "stack", **series)  # another time point lies there
    assert source_layer(result, [swapped, source]) == source
    assert source_layer(result, [swapped]) is None
    origin = slice_origin(result, 3, [swapped, source], (0,))
    np.testing.assert_array_equal(origin.before, source.data[2, 1])


def test_without_marks_of_the_run_the_exact_place_is_known_too() -> None:
    source = image(grey(1))
    result = interpolate_layer(source, factor=3, model="mean")
    step = {
        "synthetic_slices": list(layer_marks(result).synthetic),
        "provenance": {"z_step": "1/3"},
    }
    reopened = image(result.data, metadata={"tsain": step})
    origin = slice_origin(reopened, 4)
    assert origin.exact == Fraction(1, 3) and origin.fraction == Fraction(3, 8)
    assert slice_origin(result, 4).exact == slice_origin(result, 4).fraction == Fraction(1, 3)
