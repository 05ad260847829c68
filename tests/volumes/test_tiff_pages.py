"""Which pages of a TIFF are the slices: axes, counts that lie, thumbnails, gaps, other files."""

from __future__ import annotations

import os
import struct
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from tsain_core.errors import TsainError, TsainWarning
from tsain_core.volumes import open_volume

STACK = np.random.default_rng(0).integers(0, 255, (5, 20, 30), np.uint8)


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    """A test expects the warnings that it names, and no others."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", TsainWarning)
        yield


def read(path: Path) -> np.ndarray:
    values: np.ndarray = open_volume(path).data.compute(scheduler="synchronous")
    return values


def refused(path: Path, *words: str) -> None:
    with pytest.raises(TsainError) as caught:
        read(path)
    assert all(word in str(caught.value) for word in words), caught.value


@pytest.mark.parametrize(
    ("axes", "shape"),
    [
        ("ZCYX", (5, 1, 20, 30)),
        ("TZCYX", (1, 5, 1, 20, 30)),
        ("CZYX", (1, 5, 20, 30)),
        ("ZTYX", (5, 1, 20, 30)),
        ("ZYXS", (5, 20, 30, 1)),
        ("QZYX", (1, 5, 20, 30)),
        ("ZYX", (5, 20, 30)),
        ("QYX", (5, 20, 30)),
    ],
)
@pytest.mark.parametrize("ome", [False, True])
def test_axes_of_length_1(tmp_path: Path, axes: str, shape: tuple[int, ...], ome: bool) -> None:
    if ome and set(axes) & set("QS"):
        pytest.skip("OME has no such axes")
    tifffile.imwrite(tmp_path / "a.tif", STACK.reshape(shape), ome=ome, metadata={"axes": axes})
    np.testing.assert_array_equal(read(tmp_path / "a.tif"), STACK)


@pytest.mark.parametrize("size", [(1, 30), (20, 1), (1, 1)])
def test_slices_a_pixel_wide(tmp_path: Path, size: tuple[int, int]) -> None:
    data = np.asarray(STACK[:, : size[0], : size[1]])
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for image in data:
            writer.write(image, metadata=None)
    np.testing.assert_array_equal(read(tmp_path / "a.tif"), data)


@pytest.mark.parametrize("axes", ["TYX", "CYX", "TZCYX", "YXZ", "ZXY"])
@pytest.mark.parametrize("kind", ["shaped", "imagej", "ome"])
def test_refused_without_z_first(tmp_path: Path, axes: str, kind: str) -> None:
    if axes in ("YXZ", "ZXY") and kind != "shaped":
        pytest.skip("cannot be written so")
    shape = (5, 1, 1, 20, 30) if axes == "TZCYX" else STACK.shape
    options: dict[str, Any] = {} if kind == "shaped" else {kind: True}
    tifffile.imwrite(tmp_path / "a.tif", STACK.reshape(shape), metadata={"axes": axes}, **options)
    refused(tmp_path / "a.tif", "its axes are", "ZYX", "Image > Properties")


def described(path: Path, description: str, pages: int = 5, **options: Any) -> None:
    """Pages with a description in the first."""
    with tifffile.TiffWriter(path) as writer:
        for z in range(pages):
            text = description if z == 0 else None
            writer.write(STACK[z], description=text, metadata=None, **options)


def ome_xml(size_z: int, data: str = "<TiffData/>", kind: str = "SizeC='1' SizeT='1'") -> str:
    return (
        '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
        f"<Image ID='Image:0'><Pixels ID='Pixels:0' DimensionOrder='XYZCT' Type='uint8' SizeX='30' "
        f"SizeY='20' SizeZ='{size_z}' {kind}>{data}</Pixels></Image></OME>"
    )


DESCRIPTIONS = {
    "imagej": "ImageJ=1.53t\nimages={0}\nslices={0}",
    "ome": ome_xml(1234).replace("1234", "{0}"),
    "shaped": '{{"shape": [{0}, 20, 30]}}',
}


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("kind", DESCRIPTIONS)
@pytest.mark.parametrize("count", [2, 3, 4])
def test_more_pages_than_described(
    tmp_path: Path, kind: str, count: int, compression: str | None
) -> None:
    described(tmp_path / "a.tif", DESCRIPTIONS[kind].format(count), compression=compression)
    if kind == "shaped":  # its slices have a description each, if they are not in one piece
        np.testing.assert_array_equal(warned(tmp_path / "a.tif"), STACK)
        return
    with pytest.warns(TsainWarning, match=f"has {count} slices, but has 5 pages: all are read"):
        np.testing.assert_array_equal(read(tmp_path / "a.tif"), STACK)


def warned(path: Path) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TsainWarning)
        return read(path)


@pytest.mark.parametrize("kind", DESCRIPTIONS)
@pytest.mark.parametrize("count", [6, 7, 500])
def test_fewer_pages_than_described(tmp_path: Path, kind: str, count: int) -> None:
    described(tmp_path / "a.tif", DESCRIPTIONS[kind].format(count))
    refused(tmp_path / "a.tif", "5" if kind == "ome" else f"{count} slices")


def test_a_block_that_ends_too_early(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", STACK, truncate=True)
    content = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(content[:-10])
    refused(tmp_path / "a.tif", "5 slices end beyond the end of the file", "copy it again")


@pytest.mark.parametrize("metadata", [None, {}], ids=["plain", "shaped"])
@pytest.mark.parametrize("flagged", [True, False])
@pytest.mark.parametrize("each", [True, False], ids=["one each", "one first"])
def test_thumbnails(tmp_path: Path, metadata: Any, flagged: bool, each: bool) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for z, image in enumerate(STACK):
            if each or z == 0:
                kind = {"subfiletype": 1} if flagged else {}
                writer.write(image[::2, ::2], metadata=metadata, **kind)
            writer.write(image, metadata=metadata)
    np.testing.assert_array_equal(read(tmp_path / "a.tif"), STACK)


def test_masks_and_thumbnails_at_the_end(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for image in STACK:
            writer.write(image, metadata=None)
        writer.write(STACK[0, :5, :9], metadata=None, subfiletype=1)
        writer.write(STACK[0] > 100, metadata=None, subfiletype=4)
    np.testing.assert_array_equal(read(tmp_path / "a.tif"), STACK)


def test_pyramids_in_sub_pages(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as writer:
        writer.write(STACK, subifds=1, metadata={"axes": "ZYX"})
        writer.write(STACK[:, ::2, ::2], subfiletype=1)
    np.testing.assert_array_equal(read(tmp_path / "a.ome.tif"), STACK)


def test_order_and_gaps_of_ome_tiff(tmp_path: Path) -> None:
    """OME-XML says which page is which slice."""
    turned = "".join(f"<TiffData FirstZ='{z}' IFD='{4 - z}' PlaneCount='1'/>" for z in range(5))
    described(tmp_path / "a.ome.tif", ome_xml(5, turned))
    np.testing.assert_array_equal(read(tmp_path / "a.ome.tif"), STACK[::-1])
    gap = "".join(f"<TiffData FirstZ='{z}' IFD='{z}' PlaneCount='1'/>" for z in (0, 1, 3, 4))
    described(tmp_path / "b.ome.tif", ome_xml(5, gap), pages=4)
    refused(tmp_path / "b.ome.tif", "slices 2, 4 are not there")


def ome_set(folder: Path, name: str = "{z}.ome.tif") -> Path:
    """A file for each slice; the first one's OME-XML names all."""
    data = "".join(
        f"<TiffData FirstZ='{z}' IFD='0' PlaneCount='1'>"
        f"<UUID FileName='{name.format(z=z)}'>urn:uuid:{z}</UUID></TiffData>"
        for z in range(5)
    )
    for z, image in enumerate(STACK):
        xml = ome_xml(5, data).replace("<OME ", f"<OME UUID='urn:uuid:{z}' ")
        tifffile.imwrite(folder / f"{z}.ome.tif", image, description=xml, metadata=None)
    return folder / "0.ome.tif"


def test_sets_of_ome_tiff(tmp_path: Path) -> None:
    first = ome_set(tmp_path)
    np.testing.assert_array_equal(read(first), STACK)
    (tmp_path / "3.ome.tif").unlink()
    refused(first, "slices 3 are not there", "put the files of the set beside it")


def test_sets_of_ome_tiff_name_regular_files_beside_them(tmp_path: Path) -> None:
    first = ome_set(tmp_path)
    (tmp_path / "2.ome.tif").unlink()
    os.mkfifo(tmp_path / "2.ome.tif")
    refused(first, "2.ome.tif", "0.ome.tif names", "a pipe")
    for name in ("../secret-{z}.tif", "/dev/zero", "sub/{z}.tif"):
        refused(ome_set(folder(tmp_path), name), "lies elsewhere")


def folder(parent: Path) -> Path:
    made = parent / f"set-{len(list(parent.iterdir()))}"
    made.mkdir()
    return made


def patched(path: Path, page: int, tag: int, value: int) -> None:
    """Write another value into a tag of a page."""
    with tifffile.TiffFile(path, mode="r+") as tif:
        tif.pages[page].tags[tag].overwrite(value)


@pytest.mark.parametrize("tag", [273, 279], ids=["offset", "byte count"])
@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}], ids=["raw", "zlib"])
@pytest.mark.parametrize("kind", ["plain", *DESCRIPTIONS])
@pytest.mark.parametrize("page", [0, 2, 4])
def test_slices_that_were_never_written(
    tmp_path: Path, kind: str, page: int, tag: int, options: dict[str, Any]
) -> None:
    described(tmp_path / "a.tif", DESCRIPTIONS.get(kind, "").format(5), **options)
    patched(tmp_path / "a.tif", page, tag, 0)
    refused(tmp_path / "a.tif", f"slice {page}", "never written", "recompute it with replace")


def test_tiles_that_were_never_written(tmp_path: Path) -> None:
    """Some programs leave out tiles that are black; others never came to them."""
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for z in range(3):
            tiles = [None if (z, i) == (1, 1) else STACK[0, :16, :16].copy() for i in range(4)]
            writer.write(iter(tiles), shape=(32, 32), dtype=np.uint8, tile=(16, 16), metadata=None)
    refused(tmp_path / "a.tif", "1 of the 4 parts of slice 1", "never written")


@pytest.mark.parametrize("page", [0, 2, 4])
@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}], ids=["raw", "zlib"])
def test_values_beyond_the_end(tmp_path: Path, page: int, options: dict[str, Any]) -> None:
    described(tmp_path / "a.tif", "", **options)
    patched(tmp_path / "a.tif", page, 273, (tmp_path / "a.tif").stat().st_size - 3)
    refused(tmp_path / "a.tif", f"slice {page} ends beyond", "copy it again")


@pytest.mark.parametrize("size", [(1 << 31) - 1, 1 << 20, 4000])
@pytest.mark.parametrize("tag", [256, 257], ids=["width", "height"])
@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "zstd"])
def test_sizes_that_the_file_cannot_hold(
    tmp_path: Path, size: int, tag: int, compression: str | None
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", STACK, compression=compression, metadata=None)
    if size == 4000 and compression:
        pytest.skip("zeros could be packed so")
    for page in range(5):
        patched(tmp_path / "a.tif", page, tag, size)
        patched(tmp_path / "a.tif", page, 278, size)  # rows of a strip
    refused(tmp_path / "a.tif", "a.tif")


@pytest.mark.parametrize("pages", [1, 3, 150])
@pytest.mark.parametrize("back", [0, -1])
@pytest.mark.parametrize("big", [False, True])
def test_pages_that_lead_in_a_circle(tmp_path: Path, pages: int, back: int, big: bool) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path, bigtiff=big) as writer:
        for _ in range(pages):
            writer.write(STACK[0, :2, :2], metadata=None, contiguous=False)
    with tifffile.TiffFile(path) as tif:
        last, to = tif.pages[pages - 1], tif.pages[back % pages]
        at = last.offset + (8 + 20 * len(last.tags) if big else 2 + 12 * len(last.tags))
        offset = to.offset
    content = bytearray(path.read_bytes())
    content[at : at + (8 if big else 4)] = struct.pack("<Q" if big else "<I", offset)
    path.write_bytes(content)
    refused(path, f"after page {pages - 1} comes an earlier one again")


def test_a_compression_that_is_not_known(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", STACK, compression="zlib", metadata=None)
    for page in range(5):
        patched(tmp_path / "a.tif", page, 259, 34677)
    with pytest.raises(TsainError) as caught:
        read(tmp_path / "a.tif")
    assert "copy it again" not in str(caught.value), caught.value


def test_a_page_that_fails_in_mid_run(tmp_path: Path) -> None:
    described(tmp_path / "a.tif", "", compression="zlib")
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        at = tif.pages[3].dataoffsets[0]
    content = bytearray((tmp_path / "a.tif").read_bytes())
    content[at + 2 : at + 40] = bytes(38)
    (tmp_path / "a.tif").write_bytes(content)
    volume = open_volume(tmp_path / "a.tif")
    np.testing.assert_array_equal(volume[2], STACK[2])
    with pytest.raises(TsainError, match=r"Slice 3 of a.tif cannot be read as TIFF .* copy it ag"):
        volume[3]


def test_a_file_that_is_replaced_in_mid_run(tmp_path: Path) -> None:
    described(tmp_path / "a.tif", "")
    volume = open_volume(tmp_path / "a.tif")
    tifffile.imwrite(tmp_path / "a.tif", STACK[:, :10], metadata=None)
    with pytest.raises(TsainError, match="changed after it was opened"):
        volume[3]
    volume = open_volume(tmp_path / "a.tif")
    (tmp_path / "a.tif").unlink()
    with pytest.raises(TsainError, match="check the name"):
        volume[3]


def test_case_of_a_count_that_lies(em_data: Path) -> None:
    expected = tifffile.imread(em_data / "cases" / "S.tif")
    with pytest.warns(TsainWarning, match="has 3 slices, but has 5"):
        np.testing.assert_array_equal(read(em_data / "cases" / "count3.tif"), expected)


@pytest.mark.parametrize("channels", [1, 2])
def test_channels_between_slices_are_not_taken_for_slices(tmp_path: Path, channels: int) -> None:
    path, planes = tmp_path / "a.ome.tif", 4
    xml = ome_xml(planes // channels, kind=f"SizeC='{channels}' SizeT='1'")
    described(path, xml.replace("XYZCT", "XYCZT"), pages=planes)
    if channels == 1:
        np.testing.assert_array_equal(read(path), STACK[:planes])
    else:
        refused(path, "choose one channel")
