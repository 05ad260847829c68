"""What can be downloaded, and the download: complete and checked, or not there."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ..errors import TsainError, first_line

_TABLE = Path(__file__).with_name("samples.tsv")
_TIMEOUT = 30  # seconds without an answer


@dataclass(frozen=True)
class Sample:
    """A sample stack.

    Attributes
    ----------
    title, licence, credit : str
    voxel_size : (z, y, x)
        In `unit`.
    unit : str
    """

    title: str
    licence: str
    credit: str
    voxel_size: tuple[float, float, float]
    unit: str = "nanometer"


SAMPLES = {
    "fib25": Sample(
        "FIB-25: FIB-SEM of the Drosophila medulla",
        "CC BY",
        "FlyEM, Janelia (janelia-flyem/neuroproof_examples)",
        (10.0, 10.0, 10.0),
    ),
    "vnc1": Sample(
        "VNC: ssTEM of the Drosophila larva ventral nerve cord",
        "CC BY-NC-SA 3.0 (non-commercial)",
        "Gerhard et al. 2013, figshare 10.6084/m9.figshare.856713",
        (50.0, 4.6, 4.6),
    ),
}


@dataclass(frozen=True)
class SampleFile:
    """A slice to download."""

    url: str
    sha256: str
    bytes: int

    @property
    def name(self) -> str:
        """Of the file."""
        return self.url.rsplit("/", 1)[-1]


def sample_files(name: str, table: Path = _TABLE) -> list[SampleFile]:
    """The slices of a sample, in order of z; `table` has columns sample, url, sha256, bytes."""
    with table.open(newline="") as file:
        rows = [r for r in csv.DictReader(file, delimiter="\t") if r["sample"] == name]
    return [SampleFile(r["url"], r["sha256"], int(r["bytes"])) for r in rows]


def fetch_sample(
    name: str,
    folder: str | os.PathLike[str] | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
    files: Sequence[SampleFile] | None = None,
) -> Path:
    """Download a sample; slices that are there already are checked and kept.

    Parameters
    ----------
    name, folder, files
        As `download`.
    progress : callable (done, total), optional
        Called with bytes after each slice; an exception in it stops the download.

    Returns
    -------
    Path
        A folder that `open_volume` reads, with voxel size and licence in `sample.json`.

    Raises
    ------
    TsainError
        As `download`.
    """
    work = download(name, folder, files)
    while True:
        try:
            done, total = next(work)
        except StopIteration as end:
            target: Path = end.value
            return target
        if progress:
            progress(done, total)


def download(
    name: str,
    folder: str | os.PathLike[str] | None = None,
    files: Sequence[SampleFile] | None = None,
) -> Generator[tuple[int, int], None, Path]:
    """Download a sample slice by slice; slices that are there already are checked and kept.

    Parameters
    ----------
    name : str
        One of `SAMPLES`.
    folder : path, optional
        The sample goes into a folder of its name in it; by default in the user's cache.
    files : sequence of SampleFile, optional
        Instead of the table that comes with the package.

    Yields
    ------
    (done, total) : (int, int)
        Bytes, after each slice; closing the generator stops the download.

    Returns
    -------
    Path
        A folder that `open_volume` reads, with voxel size and licence in `sample.json`.

    Raises
    ------
    TsainError
        Without a network, if a download breaks off, or if a file is not what it should be. What
        was downloaded completely stays, and is not downloaded again.
    """
    import pooch

    if name not in SAMPLES:
        raise TsainError(f"There is no sample {name!r}; expected one of {', '.join(SAMPLES)}.")
    sample = SAMPLES[name]
    target = Path(folder if folder is not None else pooch.os_cache("napari-tsain")) / name
    files = files if files is not None else sample_files(name)
    total = sum(f.bytes for f in files)
    done = 0
    for file in files:
        _fetch(file, target)
        done += file.bytes
        yield done, total
    (target / "sample.json").write_text(json.dumps(asdict(sample), indent=2) + "\n")
    return target


def _fetch(file: SampleFile, folder: Path) -> None:
    import pooch
    import requests

    pooch.get_logger().setLevel("WARNING")
    try:
        pooch.retrieve(
            file.url,
            known_hash=f"sha256:{file.sha256}",
            fname=file.name,
            path=folder,
            downloader=pooch.HTTPDownloader(timeout=_TIMEOUT),
        )
    except requests.HTTPError as error:
        raise TsainError(
            f"{file.url} was refused ({first_line(error)}); the sample may have moved: look for a "
            "newer version of napari-tsain."
        ) from error
    except requests.RequestException as error:
        raise TsainError(
            f"{file.name} could not be downloaded ({type(error).__name__}); expected a connection "
            "to the network: try again, what is complete is kept."
        ) from error
    except ValueError as error:  # pooch: the hash is another
        raise TsainError(
            f"{file.name} is not the file that was expected: its SHA-256 differs; try again, and "
            "if it stays so the sample has changed: look for a newer version of napari-tsain."
        ) from error
    except OSError as error:
        raise TsainError(
            f"{file.name} cannot be kept in {folder} ({first_line(error)})."
        ) from error
