"""Where volumes lie: on this machine's file systems, or behind a URL that fsspec understands."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeAlias

from upath import UPath

from ..errors import TsainError, first_line

#: A local path, or a URL such as s3://bucket/stack.zarr.
Location: TypeAlias = Path | UPath

#: Protocol -> what has to be installed for it.
_PACKAGES = {
    "s3": "s3fs",
    "s3a": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "http": "aiohttp",
    "https": "aiohttp",
    "az": "adlfs",
    "abfs": "adlfs",
}


def locate(path: str | os.PathLike[str]) -> Location:
    """A path or URL as an object with pathlib's methods.

    Credentials and endpoints are taken from where each storage has them by custom: environment
    variables such as AWS_ENDPOINT_URL, and fsspec's configuration.

    Raises
    ------
    TsainError
        If the protocol is unknown, or its package is missing.
    """
    text = os.fspath(path)
    protocol, separator, _ = text.partition("://")
    if not separator:
        return Path(text)
    try:
        location = UPath(text.rstrip("/"))
        location.fs  # noqa: B018  # imports what the protocol needs
    except (ImportError, ValueError) as error:
        package = _PACKAGES.get(protocol)
        remedy = f"pip install {package}" if package else "use s3://, gs://, https:// or a path"
        raise TsainError(f"{text} cannot be opened ({first_line(error)}): {remedy}.") from error
    return Path(location.path) if location.protocol in ("file", "local") else location


def is_remote(location: Location) -> bool:
    """Whether it is behind a URL."""
    return not isinstance(location, Path) or not _is_local(location)


def _is_local(location: Path) -> bool:
    return getattr(location, "protocol", "") in ("", "file", "local")


def forget_listings(location: Location) -> None:
    """See what others have written since: fsspec keeps listings of remote folders."""
    if is_remote(location):
        location.fs.invalidate_cache()  # type: ignore[union-attr]
