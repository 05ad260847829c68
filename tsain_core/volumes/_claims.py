"""What compressed data say of their size, looked at before a decoder believes it.

Decoders allocate what the first bytes of a chunk claim, up to 2 GiB for Blosc and more for zstd;
of a damaged chunk that is any number.
"""

from __future__ import annotations

from typing import Any

_ZSTD = b"\x28\xb5\x2f\xfd"


def outermost(codecs: Any) -> str:
    """Name of the codec whose header a chunk begins with: "blosc", "zstd", "lz4"; or empty.

    Parameters
    ----------
    codecs : sequence
        Of Zarr, in the order in which they are applied when a chunk is written.
    """
    last = codecs[-1] if codecs else None
    name = str(getattr(last, "codec_id", "") or type(last).__name__).lower()
    return next((known for known in _READERS if name in (known, f"{known}codec")), "")


def claimed_size(codec: str, head: bytes) -> int:
    """Bytes that a chunk claims to be when it is decompressed; 0 where it does not say.

    Parameters
    ----------
    codec : str
        From `outermost`.
    head : bytes
        The first 18 bytes of the chunk, or all of it.
    """
    return _READERS[codec](head)


def _blosc(head: bytes) -> int:
    return int.from_bytes(head[4:8], "little")


def _lz4(head: bytes) -> int:
    return int.from_bytes(head[:4], "little")


def _zstd(head: bytes) -> int:
    """RFC 8878, 3.1.1.1: the frame header."""
    if head[:4] != _ZSTD or len(head) < 6:
        return 0
    flags = head[4]
    single = flags >> 5 & 1
    at = 5 + (1 - single) + (0, 1, 2, 4)[flags & 3]
    length = (single, 2, 4, 8)[flags >> 6]
    size = int.from_bytes(head[at : at + length], "little")
    return size + 256 if length == 2 else size


_READERS = {"blosc": _blosc, "zstd": _zstd, "lz4": _lz4}
