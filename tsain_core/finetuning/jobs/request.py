"""Settings of a fine-tuning job, as a file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ...errors import TsainError, argument
from ...system.atomic import write_text
from ...system.records import Record
from .naming import check_file_name

REQUEST = "request.json"


@dataclass(frozen=True)
class JobRequest(Record):
    """A fine-tuning.

    Attributes
    ----------
    name : str
        Of the model that comes out.
    source : str
        File or folder of the volume, absolute.
    dataset : str or None
        Dataset in an HDF5 or Zarr file.
    base : str
        Model to start from, name or file.
    minutes : float
    device : str
    seed : int
    stack : str
        Name of the stack as the user knows it; by default that of its file.
    """

    name: str
    source: str
    dataset: str | None = None
    base: str = "tsain-lite"
    minutes: float = 20.0
    device: str = "auto"
    seed: int = 0
    stack: str = ""

    def __post_init__(self) -> None:
        check_file_name(self.name)  # a job's folder may come from anywhere
        if not self.minutes > 0:
            raise TsainError(
                f"The time for learning is {self.minutes:g} minutes; it must be positive "
                f"({argument('minutes')})."
            )
        if self.seed < 0:
            raise TsainError(
                f"The seed is {self.seed}; it must not be negative ({argument('seed')})."
            )

    def write(self, folder: Path) -> None:
        """Put it into a job's folder, in one step: others may be reading it."""
        write_text(folder / REQUEST, json.dumps(self.to_json(), indent=1))

    @staticmethod
    def read(folder: Path) -> JobRequest:
        """The request in a job's folder.

        Raises
        ------
        TsainError
            If there is none, or it cannot be understood.
        """
        try:
            return JobRequest.from_text((folder / REQUEST).read_bytes())
        except (OSError, ValueError) as error:
            raise TsainError(
                f"{folder} holds no job that can be understood ({error}); start a new one."
            ) from error
