"""Folders of ready-made triplets, as the authors of the paper and Vimeo-90K lay them out.

Either one folder of images, where in the order of the last four parts of their names (split at
underscores, as in the authors' `TrainDatasetFromFolder`) every three make a triplet; or, at any
depth, folders that each hold `im1`, `im2` and `im3` (Xue et al. 2019).
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
from numpy.typing import NDArray

from ..errors import TsainError, first_line
from ..volumes._guard import require_regular

_SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg")


def read_triplets(folder: Path) -> NDArray[Any]:
    """The triplets of a folder, one after the other; all are held in memory.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    ndarray (3 n, y, x)
        Before, truth, after of the first, then those of the next. Colour becomes grey.

    Raises
    ------
    TsainError
        If there are none, their number is no multiple of three, or sizes or dtypes differ.
    """
    if not folder.is_dir():
        raise TsainError(f"{folder} is no folder; expected one that holds triplets.")
    paths = sorted((p for p in folder.rglob("*") if p.suffix.lower() in _SUFFIXES), key=_order)
    if any(p.parent != folder for p in paths):
        _check_threes(folder, paths)
    if not paths or len(paths) % 3:
        raise TsainError(
            f"{folder.name} holds {len(paths)} images; expected triplets, three images each: add "
            "what is missing, or give a folder of slices without `triplets`."
        )
    images = [_read(path) for path in paths]
    for path, image in zip(paths, images, strict=True):
        if (image.shape, image.dtype) != (images[0].shape, images[0].dtype):
            raise TsainError(
                f"{path.name} is {image.shape} {image.dtype}, {paths[0].name} {images[0].shape} "
                f"{images[0].dtype}; expected one size and dtype: crop or convert it."
            )
    return np.stack(images)


def without_shared(array: NDArray[Any], held: NDArray[Any]) -> NDArray[Any]:
    """The triplets of `array`, without those that have an image in common with `held`.

    Triplets of neighbouring slices overlap, so that what is held out would be learnt otherwise.
    """
    known = {_digest(image) for image in held}
    keep = [
        i
        for i in range(0, len(array), 3)
        if known.isdisjoint(_digest(image) for image in array[i : i + 3])
    ]
    return array[[i + k for i in keep for k in range(3)]]


def _order(path: Path) -> tuple[str, list[str]]:
    return str(path.parent), path.stem.split("_")[-4:]


def _check_threes(folder: Path, paths: list[Path]) -> None:
    by_folder: dict[Path, list[str]] = {}
    for path in paths:
        by_folder.setdefault(path.parent, []).append(path.stem)
    for parent, names in by_folder.items():
        if sorted(names) != ["im1", "im2", "im3"]:
            raise TsainError(
                f"{folder.name} has {', '.join(sorted(names)[:4])} in {parent.name}; expected "
                "im1, im2 and im3 in each folder, or all images in one."
            )


def _read(path: Path) -> NDArray[Any]:
    require_regular(path)
    try:
        image = np.asarray(iio.imread(path))
    except Exception as error:  # the plugins raise errors of many kinds
        raise TsainError(
            f"{path.name} cannot be read ({first_line(error)}); expected a complete image: copy "
            "it again."
        ) from error
    if image.ndim == 3:
        return np.asarray(np.rint(image[..., :3].mean(-1)), image.dtype)
    return image


def _digest(image: NDArray[Any]) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(image).tobytes()).digest()
