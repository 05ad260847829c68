"""Writers of files of formats that need an extra: DM3 and DM4, NRRD, N5, precomputed, zips."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray

#: (z, y, x) that each file says, in nanometres.
SIZE = (40.0, 5.0, 4.0)


def write_dm(path: Path, data: NDArray[Any], size: Any = SIZE, unit: str = "nm") -> Path:
    """A file of DigitalMicrograph, written by nionswift-io."""
    pytest.importorskip("ncempy")
    writer = pytest.importorskip("nionswift_plugin.DM_IO.dm3_image_utils")
    from nion.data import Calibration, DataAndMetadata

    image = DataAndMetadata.new_data_and_metadata(
        data,
        dimensional_calibrations=[
            Calibration.Calibration(0, side, unit) for side in size[-data.ndim :]
        ],
        data_descriptor=DataAndMetadata.DataDescriptor(data.ndim == 3, 0, 2),
    )
    with path.open("wb") as file:
        writer.save_image(image, file, int(path.suffix[-1]))
    return path


def write_dm_bytes(path: Path, data: NDArray[np.uint8]) -> Path:
    """The same with uint8, which nionswift-io does not write: as uint16, then said to be bytes."""
    pairs = data.view("<u2")
    content = bytearray(write_dm(path, pairs).read_bytes())
    for name, old, new in (("DataType", 10, 6), ("Dimensions", pairs.shape[2], data.shape[2])):
        start = content.index(name.encode())
        place = content.index(old.to_bytes(4, "little"), start)
        content[place : place + 4] = new.to_bytes(4, "little")
    path.write_bytes(content)
    return path


def write_nrrd(path: Path, data: NDArray[Any], **header: Any) -> Path:
    nrrd = pytest.importorskip("nrrd")
    stated = {
        "space dimension": 3,
        "space directions": np.diag(SIZE[::-1]),
        "space units": ["nm", "nm", "nm"],
        "space origin": (8.0, 10.0, 120.0),
    }
    nrrd.write(str(path), data, {**stated, **header} if "spacings" not in header else header,
               index_order="C")  # fmt: skip
    return path


def write_n5(path: Path, data: NDArray[Any], **attributes: Any) -> Path:
    tensorstore = pytest.importorskip("tensorstore")
    metadata = {
        "dimensions": list(data.shape[::-1]),
        "blockSize": [16, 16, 2],
        "dataType": data.dtype.name,
        "compression": {"type": "gzip"},
        **attributes,
    }
    store = {"driver": "file", "path": str(path)}
    array = tensorstore.open(
        {"driver": "n5", "kvstore": store, "metadata": metadata, "create": True}
    ).result()
    array[...] = data.T
    return path


def write_precomputed(path: Path, data: NDArray[Any]) -> Path:
    tensorstore = pytest.importorskip("tensorstore")
    scale = {
        "size": list(data.shape[::-1]),
        "resolution": list(SIZE[::-1]),
        "chunk_size": [16, 16, 2],
        "encoding": "raw",
        "voxel_offset": [2, 3, 4],
    }
    store = {"driver": "file", "path": str(path)}
    kind = {"type": "image", "data_type": data.dtype.name, "num_channels": 1}
    array = tensorstore.open(
        {
            "driver": "neuroglancer_precomputed",
            "kvstore": store,
            "multiscale_metadata": kind,
            "scale_metadata": scale,
            "create": True,
        }
    ).result()
    array[...] = data.T[..., None]
    return path


def write_zip(path: Path, data: NDArray[Any], inside: str = "", version: int = 3) -> Path:
    store = zarr.storage.ZipStore(path, mode="w")
    array = zarr.create_array(
        store,
        name=inside or None,
        data=data,
        chunks=(2, 16, 16),
        zarr_format=version,  # type: ignore[arg-type]
        attributes={"resolution": list(SIZE), "unit": "nm"},
    )
    assert array.shape == data.shape
    store.close()
    return path
