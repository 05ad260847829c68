"""Where the files that come with the package lie."""

from __future__ import annotations

from pathlib import Path

from ..errors import TsainError

_PACKAGE = Path(__file__).resolve().parents[1]


def weights_folder() -> Path:
    """Find the folder of the shipped checkpoints.

    A wheel carries it inside the package; in a checkout (and so in an editable install) it lies
    beside the package.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    TsainError
        If neither is there.
    """
    candidates = (_PACKAGE / "weights", _PACKAGE.parent / "weights")
    for folder in candidates:
        if folder.is_dir():
            return folder
    looked = " and ".join(str(folder) for folder in candidates)
    raise TsainError(
        f"No shipped weights in {looked}; they come with the package. "
        "Install napari-tsain again, or name a model file."
    )
