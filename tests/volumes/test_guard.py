"""What is at the door of the readers: any error of a library is one line with a true remedy."""

from __future__ import annotations

import errno
import os
import socket
import struct
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tsain_core.errors import TsainError
from tsain_core.volumes import list_datasets, open_pyramid, open_volume
from tsain_core.volumes._guard import reading

ENDINGS = (".tif", ".ome.tif", ".h5", ".mrc", ".zarr", "")


def refusal(path: Path | str) -> str:
    """The line that opening ends with, the same from each way in."""
    lines = []
    for way_in in (open_volume, open_pyramid):
        with pytest.raises(TsainError) as caught:
            way_in(path)
        lines.append(str(caught.value))
    assert lines[0] == lines[1]
    assert lines[0].isprintable()
    return lines[0]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (struct.error("unpack requires 8 bytes"), "copy it again"),
        (KeyError("axes"), "copy it again"),
        (ZeroDivisionError("division by zero"), "copy it again"),
        (ET.ParseError("not well-formed"), "copy it again"),
        (RecursionError("too deep"), "copy it again"),
        (AssertionError(), "AssertionError.*copy it again"),
        (MemoryError(), "not enough memory"),
        (PermissionError(errno.EACCES, "denied"), "change its permissions"),
        (OSError(errno.EIO, "Input/output error"), "network share does not answer"),
        (OSError("unable to lock file, errno = 11"), "Another program is writing"),
        (ValueError("<COMPRESSION.LZW: 5> requires the 'imagecodecs' package"), "install that"),
        (OSError("can't open: required filter 'lz4' is not registered"), "install that"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), "cannot be reached"),
        (socket.gaierror(-2, "Name or service not known"), "cannot be reached"),
        (TimeoutError(), "cannot be reached"),
    ],
)
def test_remedies_are_true(error: Exception, words: str) -> None:
    with pytest.raises(TsainError, match=words) as caught, reading("a.tif", "TIFF"):
        raise error
    assert str(caught.value).startswith("a.tif cannot be read as TIFF (")
    assert "copy it again" in words or "copy it again" not in str(caught.value)


def test_the_cause_of_a_wrapped_error_tells() -> None:
    with pytest.raises(TsainError, match="change its permissions"), reading("a"):
        try:
            raise PermissionError(errno.EACCES, "denied")
        except PermissionError as error:
            raise ValueError("no store") from error


def test_an_error_that_explains_itself_passes_as_it_is() -> None:
    with pytest.raises(TsainError, match="^as it is$"), reading("a"):
        raise TsainError("as it is")


def test_lines_are_safe_to_print() -> None:
    error = TsainError("a\x1b[31m\nb\udcff.tif µm Å")
    assert str(error) == "a\\x1b[31m\\nb\\udcff.tif µm Å"


@pytest.mark.parametrize("ending", ENDINGS)
def test_pipes_are_refused_at_once(tmp_path: Path, ending: str) -> None:
    os.mkfifo(tmp_path / f"a{ending}")
    (tmp_path / f"link{ending}").symlink_to(tmp_path / f"a{ending}")
    for name in ("a", "link"):
        assert "pipe" in refusal(tmp_path / f"{name}{ending}")
    with pytest.raises(TsainError, match="pipe"):
        list_datasets(tmp_path / f"a{ending}")


@pytest.mark.parametrize("ending", ENDINGS)
def test_devices_and_links_to_nothing_and_in_a_circle(tmp_path: Path, ending: str) -> None:
    (tmp_path / f"zero{ending}").symlink_to("/dev/zero")
    assert "a device" in refusal(tmp_path / f"zero{ending}")
    (tmp_path / f"gone{ending}").symlink_to(tmp_path / "removed")
    assert "removed, where nothing is" in refusal(tmp_path / f"gone{ending}")
    (tmp_path / f"one{ending}").symlink_to(tmp_path / f"two{ending}")
    (tmp_path / f"two{ending}").symlink_to(tmp_path / f"one{ending}")
    assert "in a circle" in refusal(tmp_path / f"one{ending}")


def test_sockets_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("a.tif")
        assert "a socket" in refusal("a.tif")


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("name", ["x" * 244, "x" * 300, "a\0b", "\udcff\x1b[2J"])
def test_names_that_no_file_can_have(tmp_path: Path, name: str, ending: str) -> None:
    refusal(tmp_path / f"{name}{ending}")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_files_that_may_not_be_read(tmp_path: Path) -> None:
    for ending in (".tif", ".h5", ".mrc"):
        path = tmp_path / f"a{ending}"
        path.write_bytes(b"a")
        path.chmod(0)
        assert "change its permissions" in refusal(path)
