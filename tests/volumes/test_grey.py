"""Values as they are meant: WhiteIsZero, colour maps, alpha, grey stored as colour."""

from __future__ import annotations

import pickle
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from tsain_core.errors import TsainError
from tsain_core.volumes import open_volume

STACK = np.random.default_rng(0).integers(0, 255, (4, 20, 30), np.uint8)
LAYOUTS: dict[str, dict[str, Any]] = {
    "plain": {"metadata": None},
    "shaped": {},
    "ome": {"ome": True, "metadata": {"axes": "ZYX"}},
    "zlib": {"compression": "zlib"},
    "tiles": {"tile": (16, 16)},
    "strips": {"rowsperstrip": 7},
    "big endian": {"byteorder": ">"},
}


def read(path: Path) -> np.ndarray:
    values: np.ndarray = open_volume(path).data.compute(scheduler="synchronous")
    return values


def refused(path: Path, *words: str) -> None:
    with pytest.raises(TsainError) as caught:
        read(path)
    assert all(word in str(caught.value) for word in words), caught.value


def mirrored(values: np.ndarray) -> np.ndarray:
    """What a WhiteIsZero file holds for these grey values."""
    kinds = {"u": lambda v: np.iinfo(v.dtype).max - v, "i": lambda v: -1 - v, "f": lambda v: -v}
    return np.asarray(kinds[values.dtype.kind](values), values.dtype)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_white_is_zero(tmp_path: Path, dtype: str, layout: str) -> None:
    data = (STACK.astype(np.float64) * 100 - 3000 * (dtype != "uint16")).astype(dtype)
    data = STACK if dtype == "uint8" else data
    options = LAYOUTS[layout]
    tifffile.imwrite(tmp_path / "a.tif", mirrored(data), photometric="miniswhite", **options)
    np.testing.assert_array_equal(read(tmp_path / "a.tif"), data)
    assert open_volume(tmp_path / "a.tif").dtype == dtype


def test_white_is_zero_in_one_block(tmp_path: Path) -> None:
    """One page before all values, as ImageJ writes big stacks."""
    data = STACK.astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", mirrored(data), photometric="miniswhite", truncate=True)
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        assert len(tif.pages) == 1
    np.testing.assert_array_equal(read(tmp_path / "a.tif"), data)
    volume = pickle.loads(pickle.dumps(open_volume(tmp_path / "a.tif")))
    np.testing.assert_array_equal(volume[3], data[3])


@pytest.mark.parametrize("metadata", [None, {}], ids=["plain", "shaped"])
def test_one_page_among_others_is_white_is_zero(tmp_path: Path, metadata: dict | None) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for z, image in enumerate(STACK):
            white = z == 2
            writer.write(
                mirrored(image) if white else image,
                photometric="miniswhite" if white else "minisblack",
                metadata=metadata,
            )
    np.testing.assert_array_equal(read(tmp_path / "a.tif"), STACK)


def test_few_bits_are_mirrored_in_their_own_range(tmp_path: Path) -> None:
    data = (STACK // 16).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", 15 - data, photometric="miniswhite", bitspersample=4)
    np.testing.assert_array_equal(read(tmp_path / "a.tif"), data)
    twelve = STACK.astype(np.uint16) * 16
    tifffile.imwrite(tmp_path / "b.tif", 4095 - twelve, photometric="miniswhite", bitspersample=12)
    np.testing.assert_array_equal(read(tmp_path / "b.tif"), twelve)


def grey_map(values: np.ndarray) -> np.ndarray:
    return np.stack([values] * 3).astype(np.uint16)


REVERSED = np.arange(255, -1, -1)


@pytest.mark.parametrize("layout", [k for k in LAYOUTS if k != "ome"])
@pytest.mark.parametrize("scale", [257, 256, 1], ids=["x257", "x256", "8 bits"])
def test_grey_colour_maps_are_applied(tmp_path: Path, layout: str, scale: int) -> None:
    options = LAYOUTS[layout] | {"photometric": "palette", "colormap": grey_map(REVERSED * scale)}
    tifffile.imwrite(tmp_path / "a.tif", STACK, **options)
    np.testing.assert_array_equal(read(tmp_path / "a.tif"), 255 - STACK)
    folder = tmp_path / "slices"
    folder.mkdir()
    for z, image in enumerate(STACK):
        tifffile.imwrite(folder / f"{z}.tif", image, **options)
    np.testing.assert_array_equal(read(folder), 255 - STACK)


def test_a_map_of_16_bit_indices(tmp_path: Path) -> None:
    data = STACK.astype(np.uint16) * 200
    table = np.arange(65535, -1, -1)
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="palette", colormap=grey_map(table))
    np.testing.assert_array_equal(read(tmp_path / "a.tif"), 65535 - data)


def test_coloured_maps_are_refused_where_they_are(tmp_path: Path) -> None:
    colours = grey_map(np.arange(256) * 257)
    fire = colours.copy()
    fire[0] = fire[0][::-1]
    tifffile.imwrite(tmp_path / "a.tif", STACK, photometric="palette", colormap=fire)
    refused(tmp_path / "a.tif", "a.tif", "colour map", "Lookup Tables > Grays")
    folder = tmp_path / "slices"
    folder.mkdir()
    for z, image in enumerate(STACK):
        tables = fire if z == 3 else colours
        tifffile.imwrite(folder / f"{z}.tif", image, photometric="palette", colormap=tables)
    refused(folder, "3.tif", "colour map")


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_tiff_of_equal_colours(tmp_path: Path, dtype: str, alpha: bool, planar: str) -> None:
    data = STACK.astype(dtype) * (1 if dtype == "uint8" else 250)
    opaque = np.full_like(data, np.iinfo(dtype).max)
    stored = np.stack([data] * 3 + [opaque] * alpha, 1 if planar == "separate" else -1)
    options: dict[str, Any] = {"photometric": "rgb", "planarconfig": planar}
    options |= {"extrasamples": ["unassalpha"]} if alpha else {}
    tifffile.imwrite(tmp_path / "a.tif", stored, **options)
    np.testing.assert_array_equal(read(tmp_path / "a.tif"), data)
    # colour in one pixel, of the last slice: it is only seen when that is read
    stored[(3, 0, 5, 5) if planar == "separate" else (3, 5, 5, 0)] ^= 1
    tifffile.imwrite(tmp_path / "b.tif", stored, **options)
    assert open_volume(tmp_path / "b.tif").shape == STACK.shape
    refused(tmp_path / "b.tif", "Slice 3 of b.tif", "colour image")


def test_tiff_of_grey_and_alpha(tmp_path: Path) -> None:
    options: dict[str, Any] = {"photometric": "minisblack", "extrasamples": ["unassalpha"]}
    options |= {"planarconfig": "contig", "metadata": None}
    tifffile.imwrite(tmp_path / "a.tif", np.stack([STACK, np.full_like(STACK, 255)], -1), **options)
    np.testing.assert_array_equal(read(tmp_path / "a.tif"), STACK)
    tifffile.imwrite(tmp_path / "b.tif", np.stack([STACK, STACK], -1), **options)
    refused(tmp_path / "b.tif", "partly transparent", "alpha")


def png(image: np.ndarray, colour: int, bits: int = 8, palette: np.ndarray | None = None) -> bytes:
    """A PNG by hand: the libraries write not all kinds."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    height, width = image.shape[:2]
    rows = b"".join(b"\0" + row.astype(f">u{bits // 8}").tobytes() for row in image)
    table = b"" if palette is None else chunk(b"PLTE", palette.astype(np.uint8).tobytes())
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
        + table
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def save(folder: Path, images: list[bytes]) -> Path:
    for z, content in enumerate(images):
        (folder / f"s{z}.png").write_bytes(content)
    return folder


PNG_KINDS = {"grey": 0, "rgb": 2, "palette": 3, "grey + alpha": 4, "rgb + alpha": 6}


def stored_as(kind: str, image: np.ndarray, alpha: Any) -> np.ndarray:
    """A grey image in the samples of a kind of PNG."""
    channels = [image] * (3 if "rgb" in kind else 1)
    channels += [np.broadcast_to(np.asarray(alpha, image.dtype), image.shape)] * ("alpha" in kind)
    return channels[0] if len(channels) == 1 else np.stack(channels, -1)


@pytest.mark.parametrize("kind", PNG_KINDS)
@pytest.mark.parametrize("bits", [8, 16])
def test_png_of_all_kinds(tmp_path: Path, kind: str, bits: int) -> None:
    if kind == "palette" and bits == 16:
        pytest.skip("PNG has no such palettes")
    data = STACK.astype(np.uint16) * 257 + 3 if bits == 16 else STACK
    table = np.stack([REVERSED] * 3, -1) if kind == "palette" else None
    data = np.asarray(data[:, ::2])
    most = np.iinfo(data.dtype).max
    images = [png(stored_as(kind, image, most), PNG_KINDS[kind], bits, table) for image in data]
    expected = 255 - data if kind == "palette" else data
    np.testing.assert_array_equal(read(save(tmp_path, images)), expected)


@pytest.mark.parametrize("kind", ["grey + alpha", "rgb + alpha"])
@pytest.mark.parametrize("at", [0, 2])
def test_transparent_png_is_refused(tmp_path: Path, kind: str, at: int) -> None:
    alphas = np.full(STACK.shape, 255)
    alphas[at, 3, 3] = 254
    images = [
        png(stored_as(kind, image, alpha), PNG_KINDS[kind])
        for image, alpha in zip(STACK, alphas, strict=True)
    ]
    refused(save(tmp_path, images), f"s{at}.png", "partly transparent")


@pytest.mark.parametrize("at", [0, 3])
def test_coloured_png_is_refused(tmp_path: Path, at: int) -> None:
    images = [png(np.stack([image] * 3, -1), 2) for image in STACK]
    images[at] = png(np.stack([STACK[at], STACK[at], 255 - STACK[at]], -1), 2)
    refused(save(tmp_path, images), f"s{at}.png", "colour image", "8-bit grey")
    table = np.stack([REVERSED, REVERSED, 255 - REVERSED], -1)
    images[at] = png(STACK[at], 3, palette=table)
    refused(save(tmp_path, images), f"s{at}.png", "colour image")


def test_kinds_of_grey_may_be_mixed(tmp_path: Path) -> None:
    kinds = ["grey", "rgb", "grey + alpha", "rgb + alpha"]
    images = [
        png(stored_as(kind, image, 255), PNG_KINDS[kind])
        for kind, image in zip(kinds, STACK, strict=True)
    ]
    np.testing.assert_array_equal(read(save(tmp_path, images)), STACK)


def test_masks_are_refused(tmp_path: Path) -> None:
    rows = np.packbits(STACK > 100, axis=-1)
    head = [png(image, 0) for image in rows]
    # the same bytes as 8 pixels each of 1 bit
    images = []
    for content in head:
        fixed = bytearray(content)
        fixed[16:26] = struct.pack(">IIBB", rows.shape[-1] * 8, rows.shape[-2], 1, 0)
        fixed[29:33] = struct.pack(">I", zlib.crc32(fixed[12:29]))
        images.append(bytes(fixed))
    refused(save(tmp_path, images), "mask")


def test_white_folders_with_one_that_is_not(tmp_path: Path) -> None:
    for z, image in enumerate(STACK):
        white = z != 1
        tifffile.imwrite(
            tmp_path / f"s{z}.tif",
            mirrored(image) if white else image,
            photometric="miniswhite" if white else "minisblack",
        )
    np.testing.assert_array_equal(read(tmp_path), STACK)


@pytest.mark.parametrize(
    "name", ["white.tif", "white", "palette.tif", "palt", "palgrey", "rgbgrey"]
)
def test_cases(em_data: Path, name: str) -> None:
    expected = tifffile.imread(em_data / "cases" / "S.tif")
    np.testing.assert_array_equal(read(em_data / "cases" / name), expected)
