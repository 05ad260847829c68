"""Small stacks of all formats that are read, and ways to damage them, by a seed."""

from __future__ import annotations

import random
import re
import shutil
import struct
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import imagecodecs
import mrcfile
import numpy as np
import tifffile
import zarr

from tsain_core.volumes import create_volume

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
from support import lab_formats

STACK = np.random.default_rng(0).integers(0, 255, (4, 24, 20), np.uint8)
_NUMBERS = (0, 1, 2, 3, 0x7F, 0xFF, 0x100, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_TEXT = (
    "0",
    "-1",
    "1",
    "2",
    "999999999999",
    "1e400",
    "NaN",
    "null",
    "[]",
    "{}",
    '""',
    '"x"',
    "true",
)
_DEEP = 20_000


def make_samples(folder: Path) -> list[Path]:
    """Write a stack of each kind; a new folder is needed."""
    made: list[Path] = []
    for name, write in _writers().items():
        path = folder / name
        write(path)
        made.append(path)
    return made


def _writers() -> dict[str, Callable[[Path], Any]]:
    ours = {f"ours{ending}": _ours for ending in (".tif", ".h5", ".zarr")}
    return {
        **_tiff_writers(),
        **ours,
        "ours-0.4.zarr": lambda path: _ours(path, ome_version="0.4"),
        "tif-slices": lambda path: _slices(path, ".tif"),
        "png-slices": lambda path: _slices(path, ".png"),
        "int16.mrc": lambda path: _mrc(path, STACK.astype(np.int16)),
        "float32.mrc": lambda path: _mrc(path, STACK.astype(np.float32), extended=64),
        "bytes.mrc": lambda path: _mrc(path, STACK.view(np.int8)),
        "contiguous.h5": lambda path: _hdf5(path),
        "chunked.h5": lambda path: _hdf5(path, chunks=(1, 8, 20), compression="gzip"),
        "latest.h5": lambda path: _hdf5(path, libver="latest", chunks=(2, 8, 8), shuffle=True),
        "groups.h5": _hdf5_groups,
        "virtual.h5": _hdf5_virtual,
        "v2.zarr": lambda path: _zarr(path, zarr_format=2, chunks=(2, 12, 10)),
        "v3.zarr": lambda path: _zarr(path, zarr_format=3, chunks=(2, 12, 10)),
        "sharded.zarr": lambda path: _zarr(path, chunks=(1, 12, 10), shards=(2, 24, 20)),
        **_lab_writers(),
    }


def _lab_writers() -> dict[str, Callable[[Path], Any]]:
    """Of the formats that are read by extras."""
    return {
        "short.dm3": lambda path: lab_formats.write_dm(path, STACK.astype(np.int16)),
        "float.dm4": lambda path: lab_formats.write_dm(path, STACK.astype(np.float32)),
        "gzip.nrrd": lambda path: lab_formats.write_nrrd(path, STACK, encoding="gzip"),
        "raw.nrrd": lambda path: lab_formats.write_nrrd(path, STACK, encoding="raw"),
        "n5": lambda path: lab_formats.write_n5(path, STACK, resolution=[4, 4, 40]),
        "precomputed": lambda path: lab_formats.write_precomputed(path, STACK),
        "v3.zarr.zip": lambda path: lab_formats.write_zip(path, STACK, inside="raw"),
        "v2.zarr.zip": lambda path: lab_formats.write_zip(path, STACK, version=2),
    }


def _tiff_writers() -> dict[str, Callable[[Path], Any]]:
    grey = np.stack([np.arange(256) * 257] * 3).astype(np.uint16)
    imagej = {"axes": "ZYX", "spacing": 40.0, "unit": "nm"}
    kinds: dict[str, dict[str, Any]] = {
        "shaped.tif": {},
        "zlib.tif": {"compression": "zlib", "predictor": True},
        "lzw.tif": {"compression": "lzw", "rowsperstrip": 5},
        "tiles.tif": {"tile": (16, 16), "compression": "zstd"},
        "big.tif": {"bigtiff": True, "byteorder": ">"},
        "block.tif": {"truncate": True},
        "imagej.tif": {"imagej": True, "metadata": imagej},
        "palette.tif": {"photometric": "palette", "colormap": grey},
        "white.ome.tif": {"photometric": "miniswhite", "metadata": {"axes": "ZYX"}},
        "plain.tif": {"metadata": None, "compression": "packbits"},
    }
    colours = np.stack([STACK] * 3, -1)
    plain: dict[str, Callable[[Path], Any]] = {
        name: partial(tifffile.imwrite, data=STACK, **options) for name, options in kinds.items()
    }
    return plain | {"rgb.tif": partial(tifffile.imwrite, data=colours, photometric="rgb")}


def _ours(path: Path, **options: Any) -> None:
    known: dict[str, Any] = {"voxel_size": (40.0, 4.0, 4.0), "unit": "nm", "synthetic": (1,)}
    with create_volume(path, STACK.shape, STACK.dtype, **known, **options) as writer:
        for z, image in enumerate(STACK):
            writer.write(z, image)


def _slices(folder: Path, ending: str) -> None:
    folder.mkdir()
    for z, image in enumerate(STACK):
        if ending == ".tif":
            tifffile.imwrite(folder / f"s{z}.tif", image)
        else:
            stored = image if z != 1 else np.stack([image] * 3, -1)
            (folder / f"s{z}.png").write_bytes(imagecodecs.png_encode(stored))


def _mrc(path: Path, data: np.ndarray, extended: int = 0) -> None:
    with mrcfile.new(path) as mrc:
        mrc.set_data(data)
        mrc.voxel_size = (40.0, 40.0, 400.0)
        if extended:
            mrc.set_extended_header(np.zeros(extended, "S1"))
    if data.dtype == np.int8:
        content = bytearray(path.read_bytes())
        content[152:160] = struct.pack("<2i", 1146047817, 1)
        path.write_bytes(content)


def _hdf5(path: Path, libver: str | None = None, **options: Any) -> None:
    with h5py.File(path, "w", libver=libver) as file:
        data = file.create_dataset("volumes/raw", data=STACK, **options)
        data.attrs["resolution"], data.attrs["offset"] = (40.0, 4.0, 4.0), (0.0, 0.0, 8.0)


def _hdf5_groups(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["a/b/c"], file["table"] = STACK, np.zeros((3, 2))
        file["link"], file["text"] = h5py.SoftLink("/a/b"), "text"
        file["a/b/c"].attrs["element_size_um"] = (0.04, 0.004, 0.004)
        file["a/b/c"].dims[0].label = "z"


def _hdf5_virtual(path: Path) -> None:
    layout = h5py.VirtualLayout(STACK.shape, "u1")
    with h5py.File(path, "w") as file:
        for z, image in enumerate(STACK):
            file[f"s{z}"] = image
            layout[z] = h5py.VirtualSource(".", f"s{z}", image.shape)
        file.create_virtual_dataset("raw", layout)


def _zarr(path: Path, **options: Any) -> None:
    array = zarr.create_array(str(path), shape=STACK.shape, dtype="uint8", **options)
    array[:] = STACK
    array.attrs["resolution"], array.attrs["unit"] = [40, 4, 4], "nm"


def damaged_copy(sample: Path, folder: Path, dice: random.Random) -> Path:
    """A copy of a sample, one of its files damaged."""
    path = folder / sample.name
    if sample.is_dir():
        shutil.copytree(sample, path)
        files = sorted(p for p in path.rglob("*") if p.is_file())
        texts = [p for p in files if p.suffix == ".json" or p.name.startswith(".z")]
        victim = dice.choice(texts if texts and dice.random() < 0.7 else files)
    else:
        shutil.copyfile(sample, path)
        victim = path
    content = victim.read_bytes()
    for _ in range(dice.choice((1, 1, 1, 2, 4))):
        content = dice.choice(_damages(content))(content, dice)
    victim.write_bytes(content)
    return path


Damage = Callable[[bytes, random.Random], bytes]


def _damages(content: bytes) -> list[Damage]:
    texts: list[Damage] = [_text_number, _text_number, _text_word, _text_deep]
    found = re.search(rb'["=:]\s*\d', content)
    return [*_BYTES, *(texts * 2 if content[:1] == b"{" else texts if found else [])]


def _place(content: bytes, dice: random.Random) -> int:
    """Somewhere, headers more often than values."""
    end = len(content) if dice.random() < 0.4 else min(len(content), 1200)
    return dice.randrange(max(end, 1))


def _bits(content: bytes, dice: random.Random) -> bytes:
    changed = bytearray(content or b"\0")
    for _ in range(dice.choice((1, 1, 2, 8, 30))):
        changed[_place(content, dice)] ^= 1 << dice.randrange(8)
    return bytes(changed)


def _number(content: bytes, dice: random.Random) -> bytes:
    changed, at = bytearray(content), _place(content, dice)
    width, order = dice.choice((1, 2, 2, 4, 4, 8)), dice.choice(("little", "big"))
    at -= at % 2
    value = dice.choice((*_NUMBERS, dice.getrandbits(16), (1 << 63) - 1, (1 << 64) - 1))
    value &= (1 << 8 * width) - 1
    changed[at : at + width] = value.to_bytes(width, order)  # type: ignore[arg-type]
    return bytes(changed)


def _cut(content: bytes, dice: random.Random) -> bytes:
    return content[: dice.randrange(len(content) + 1)]


def _remove(content: bytes, dice: random.Random) -> bytes:
    at = _place(content, dice)
    return content[:at] + content[at + dice.choice((1, 2, 4, 12, 100)) :]


def _insert(content: bytes, dice: random.Random) -> bytes:
    at = _place(content, dice)
    return content[:at] + dice.randbytes(dice.choice((1, 2, 4, 12, 100))) + content[at:]


def _repeat(content: bytes, dice: random.Random) -> bytes:
    start, at = _place(content, dice), _place(content, dice)
    block = content[start : start + dice.choice((2, 4, 12, 64, 500))]
    return content[:at] + block + content[at + len(block) * dice.randrange(2) :]


def _zero(content: bytes, dice: random.Random) -> bytes:
    at, length = _place(content, dice), dice.choice((2, 4, 12, 64, 500))
    return content[:at] + bytes(len(content[at : at + length])) + content[at + length :]


_BYTES: list[Damage] = [
    _bits,
    _bits,
    _number,
    _number,
    _number,
    _cut,
    _remove,
    _insert,
    _repeat,
    _zero,
]


def _text_number(content: bytes, dice: random.Random) -> bytes:
    return _exchanged(content, rb"(?<=[\s\[\"=:,])-?\d+(\.\d+)?", dice)


def _text_word(content: bytes, dice: random.Random) -> bytes:
    return _exchanged(content, rb'"[^"]{0,40}"', dice)


def _text_deep(content: bytes, dice: random.Random) -> bytes:
    return _exchanged(content, rb"\d+|\{\}|\[\]", dice, b"[" * _DEEP)


def _exchanged(content: bytes, pattern: bytes, dice: random.Random, new: bytes = b"") -> bytes:
    """One place of a pattern replaced: by a value that is hardly right, by another, by nothing."""
    found = list(re.finditer(pattern, content))
    if not found:
        return content
    match = dice.choice(found)
    choices = [dice.choice(_TEXT).encode(), dice.choice(found)[0], b""]
    return content[: match.start()] + (new or dice.choice(choices)) + content[match.end() :]
