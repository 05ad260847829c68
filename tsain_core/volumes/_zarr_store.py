"""A Zarr on this machine, read so that no file of it can hang the program or fill its memory."""

from __future__ import annotations

import os
import stat
import zipfile
from collections.abc import Iterator
from itertools import islice
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.abc.store import ByteRequest, RangeByteRequest
from zarr.core.buffer import Buffer, BufferPrototype

from ..errors import TsainError
from ._claims import claimed_size, outermost
from ._guard import require_regular
from ._locations import Location, is_remote
from ._missing import MOST_LISTED, check_count

_METADATA = ("zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata")
_LONGEST_METADATA = 64 << 20
#: Bytes that a chunk may claim beyond twice its size: what another codec before it adds.
_ROOM = 1 << 16
#: Bytes of a chunk that are decompressed at once, however small the array is said to be.
_BIG_CHUNK = 256 << 20
#: Bytes of an entry of a zipped Zarr: a shard may be large.
_BIG_ENTRY = 4 << 30
#: Shards whose index is read to see which of their chunks are there.
_MOST_SHARDS = 20_000


class SafeStore(zarr.storage.LocalStore):
    """A folder of which only regular files are read, and no metadata longer than 64 MiB.

    Of arrays that `limit` was told of, no chunk is decompressed that claims to be larger than a
    chunk can be.
    """

    def __init__(self, root: Path, *, read_only: bool = False) -> None:
        super().__init__(root, read_only=read_only)
        self._limits: dict[str, tuple[str, int, bool]] = {}

    def limit(self, array: Any) -> None:
        """Look at the first bytes of an array's chunks from now on."""
        metadata = array.metadata
        sharded = getattr(array, "shards", None) is not None
        if sharded and not _index_at_end(metadata.codecs[0]):
            return  # what is read first of a shard would be taken for a chunk
        if metadata.zarr_format == 2:
            codecs = [*(metadata.filters or ()), metadata.compressor]
        else:
            codecs = list(metadata.codecs[0].codecs if sharded else metadata.codecs)
        if codec := outermost(codecs):
            size = prod(array.chunks) * array.dtype.itemsize
            self._limits[array.path] = codec, _ROOM + 2 * size, sharded

    async def get(
        self,
        key: str,
        prototype: BufferPrototype | None = None,
        byte_range: ByteRequest | None = None,
    ) -> Buffer | None:
        """Read a file, or None if there is none."""
        self._check(key)
        found = await super().get(key, prototype, byte_range)
        if found is not None and self._limits:
            self._check_claim(key, found, byte_range)
        return found

    def _check_claim(self, key: str, found: Buffer, byte_range: ByteRequest | None) -> None:
        folder, _, name = key.rpartition("/")
        if name in _METADATA:
            return
        owners = [path for path in self._limits if not path or f"{folder}/".startswith(f"{path}/")]
        if not owners:
            return
        codec, most, sharded = self._limits[max(owners, key=len)]
        if sharded != isinstance(byte_range, RangeByteRequest):
            return  # an index, or a shard with many chunks
        claimed = claimed_size(codec, found[:18].to_bytes())
        if claimed > most:
            raise TsainError(
                f"{key} of {self.root.name} claims {claimed} bytes, more than a chunk has; it is "
                "damaged: copy it again."
            )

    def _check(self, key: str) -> None:
        path = self.root / key
        try:
            found = path.stat()
        except OSError:
            return  # what is wrong with it is said on reading
        if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
            require_regular(path, self.root.name)
        if path.name in _METADATA and found.st_size > _LONGEST_METADATA:
            raise TsainError(
                f"{key} of {self.root.name} has {found.st_size} bytes, too many for metadata; it "
                "is damaged: copy it again."
            )


def open_node(path: Location) -> Any:
    """The array or group at a place, for reading.

    Raises
    ------
    Exception
        Of many kinds, for metadata that are missing or damaged.
    """
    if is_remote(path):
        # one question first: of a server that is down, zarr leaves several open
        (path / "zarr.json").exists()
        return zarr.open(str(path), mode="r")
    where = Path(str(path))
    if where.suffix.lower() == ".zip":
        return _open_zip(where)
    return zarr.open(SafeStore(where, read_only=True), mode="r")


class SafeZipStore(zarr.storage.ZipStore):
    """A zipped Zarr whose entries are no larger than a chunk or metadata can be."""

    def names(self, prefix: str) -> Iterator[str]:
        """Paths of the entries below a folder, relative to it."""
        with zipfile.ZipFile(self.path) as archive:
            for name in archive.namelist():
                if name.startswith(prefix) and not name.endswith("/"):
                    yield name[len(prefix) :]


def _open_zip(path: Path) -> Any:
    inside = None
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            folder, _, name = entry.filename.rpartition("/")
            if entry.file_size > (_LONGEST_METADATA if name in _METADATA else _BIG_ENTRY):
                raise TsainError(
                    f"{entry.filename} of {path.name} has {entry.file_size} bytes, too many for "
                    "a chunk; it is damaged, or no Zarr: copy it again."
                )
            if name in _METADATA and (inside is None or len(folder) < len(inside)):
                inside = folder
    if inside is None:
        raise TsainError(
            f"{path.name} holds no Zarr; a zipped Zarr, with zarr.json or .zarray inside, is "
            "required: unzip it, and give what is in it."
        )
    return zarr.open(SafeZipStore(path, mode="r", read_only=True), path=inside, mode="r")


def check_array(array: Any, title: str) -> None:
    """Refuse an array whose metadata describe what no machine should do.

    Raises
    ------
    TsainError
        If chunks are empty or absurdly large, or a codec can run code.
    """
    check_chunks(tuple(array.chunks), tuple(array.shape), array.dtype, title)
    if isinstance(array.store_path.store, SafeStore):
        array.store_path.store.limit(array)
    metadata = array.metadata
    codecs = [*(getattr(metadata, "filters", None) or ()), getattr(metadata, "compressor", None)]
    if any(getattr(codec, "codec_id", "") == "pickle" for codec in codecs):
        raise TsainError(
            f"{title} is stored as Python pickles, which can run code when they are read; save it "
            "with zlib, zstd or no compression."
        )


def check_chunks(
    chunks: tuple[int, ...], shape: tuple[int, ...], dtype: np.dtype[Any], title: str
) -> None:
    """Refuse chunks that are empty or absurdly large.

    Raises
    ------
    TsainError
    """
    if not chunks or min(chunks) < 1:
        raise TsainError(
            f"{title} has chunks of {' x '.join(map(str, chunks))}; at least 1 is required along "
            "each axis: its metadata are damaged, copy it again."
        )
    size = np.prod(chunks, dtype=float) * dtype.itemsize
    held = np.prod([min(c, n) for c, n in zip(chunks, shape, strict=True)], dtype=float)
    if size > _BIG_CHUNK and size > 8 * held * dtype.itemsize:
        raise TsainError(
            f"{title} has chunks of {' x '.join(map(str, chunks))} for an array of "
            f"{' x '.join(map(str, shape))}; its metadata are damaged, copy it again."
        )


def stored_chunks(array: Any, title: str) -> NDArray[np.bool_] | None:
    """Which chunks of a local array are there, by the names of its files and indices of shards.

    Returns
    -------
    bool array, or None
        In the array's own order of axes; None where looking them up would take long, or is not
        possible: on remote stores, and for keys of an unknown kind.

    Raises
    ------
    TsainError
        If not one chunk is there; if they lie under another dimension separator, which is named.
    """
    store = array.store_path.store
    if isinstance(store, SafeZipStore):
        return _chunks_in_zip(array, store, title)
    files = tuple(getattr(array, "shards", None) or array.chunks)
    grid = tuple(-(-n // f) for n, f in zip(array.shape, files, strict=True))
    if not isinstance(store, SafeStore):
        return None
    total = prod(grid)
    if total > MOST_LISTED:
        found = islice(files_below(store.root / array.path, len(grid) + 1), MOST_LISTED)
        check_count(sum(1 for _ in found), min(total, MOST_LISTED * 1000), title)
        return None
    separator, prefix = _key_format(array)
    if separator is None:
        return None
    folder = store.root / array.path
    stored = np.zeros(grid, bool)
    for name in files_below(folder, len(grid) + 1):
        place = _place(name, separator, prefix, grid)
        if place is not None:
            stored[place] = True
    if not stored.any():
        _refuse_nothing(array, folder, separator, grid, title)
    return _within_shards(array, folder, stored) if getattr(array, "shards", None) else stored


def _chunks_in_zip(array: Any, store: SafeZipStore, title: str) -> NDArray[np.bool_] | None:
    separator, prefix = _key_format(array)
    grid = tuple(-(-n // c) for n, c in zip(array.shape, array.chunks, strict=True))
    if separator is None or getattr(array, "shards", None) or prod(grid) > MOST_LISTED:
        return None
    stored = np.zeros(grid, bool)
    for name in store.names(f"{array.store_path.path}/".lstrip("/")):
        place = _place(name, separator, prefix, grid)
        if place is not None:
            stored[place] = True
    if not stored.any():
        raise TsainError(
            f"{title} has no chunk at all: all would be black; zip it again with its data."
        )
    return stored


def _key_format(array: Any) -> tuple[str | None, str]:
    """What parts the numbers of a chunk's key, and what stands before them."""
    metadata = array.metadata
    if metadata.zarr_format == 2:
        return str(metadata.dimension_separator), ""
    encoding = metadata.chunk_key_encoding
    if encoding.name not in ("default", "v2"):
        return None, ""
    separator = str(encoding.separator)
    return separator, f"c{separator}" if encoding.name == "default" else ""


def files_below(folder: Path, depth: int, prefix: str = "") -> Iterator[str]:
    """Paths of all files below a folder, relative to it, no deeper than chunks can lie."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if depth and entry.is_dir():
                    yield from files_below(folder / entry.name, depth - 1, f"{prefix}{entry.name}/")
                else:
                    yield prefix + entry.name
    except FileNotFoundError:
        return


def _place(name: str, separator: str, prefix: str, grid: tuple[int, ...]) -> tuple[int, ...] | None:
    if not name.startswith(prefix):
        return None
    parts = name[len(prefix) :].split(separator)
    if len(parts) != len(grid) or not all(part.isascii() and part.isdigit() for part in parts):
        return None
    place = tuple(int(part) for part in parts)
    return place if all(p < n for p, n in zip(place, grid, strict=True)) else None


def _refuse_nothing(
    array: Any, folder: Path, separator: str, grid: tuple[int, ...], title: str
) -> None:
    other = "/" if separator == "." else "."
    for prefix in ("", f"c{other}"):
        if any(_place(name, other, prefix, grid) for name in files_below(folder, len(grid) + 1)):
            where = ".zarray" if array.metadata.zarr_format == 2 else "zarr.json"
            key = "dimension_separator" if array.metadata.zarr_format == 2 else "separator"
            raise TsainError(
                f"The chunks of {title} lie under the dimension separator {other!r}, and its "
                f"metadata say {separator!r}, so that all would be black; set {key!r} to "
                f"{other!r} in {where}."
            )
    raise TsainError(
        f"{title} has no chunk at all: all would be black; copy it again with its data, or write "
        "it again."
    )


def _index_at_end(sharding: Any) -> bool:
    return str(getattr(sharding.index_location, "value", sharding.index_location)) == "end"


def _within_shards(array: Any, folder: Path, stored: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    """The chunks inside shards, by the index at the end or begin of each."""
    sharding = array.metadata.codecs[0]
    inner = tuple(s // c for s, c in zip(array.shards, array.chunks, strict=True))
    kinds = [type(codec).__name__ for codec in getattr(sharding, "index_codecs", ())]
    if kinds not in (["BytesCodec"], ["BytesCodec", "Crc32cCodec"]) or stored.sum() > _MOST_SHARDS:
        return None
    length = 16 * int(np.prod(inner)) + 4 * (len(kinds) - 1)
    at_end = _index_at_end(sharding)
    chunks = np.zeros([n * i for n, i in zip(stored.shape, inner, strict=True)], bool)
    for place in np.argwhere(stored):
        path = folder / array.metadata.encode_chunk_key(tuple(int(p) for p in place))
        require_regular(path, folder.name)
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - length) if at_end else 0)
            index = file.read(length)
        if len(index) < length:
            continue
        offsets = np.frombuffer(index, "<u8", 2 * int(np.prod(inner))).reshape(-1, 2)[:, 0]
        box = tuple(slice(p * i, (p + 1) * i) for p, i in zip(place, inner, strict=True))
        chunks[box] = (offsets != np.uint64(2**64 - 1)).reshape(inner)
    shown = tuple(slice(0, -(-n // c)) for n, c in zip(array.shape, array.chunks, strict=True))
    return chunks[shown]
