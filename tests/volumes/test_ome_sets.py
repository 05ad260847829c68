"""OME-TIFF of several files is one stack; plates and several images are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from tsain_core.errors import TsainError
from tsain_core.volumes import open_volume

STACK = np.random.default_rng(0).integers(0, 255, (5, 20, 30), np.uint8)
_OPEN = '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"'
_PIXELS = (
    'DimensionOrder="XYZCT" Type="uint8" SizeX="30" SizeY="20" SizeZ="5" SizeC="1" SizeT="1" '
    'PhysicalSizeX="0.004" PhysicalSizeY="0.004" PhysicalSizeZ="0.04"'
)


def write_set(folder: Path) -> None:
    parts = "".join(
        f'<TiffData FirstZ="{z}" IFD="0" PlaneCount="1">'
        f'<UUID FileName="set_{z}.ome.tif">urn:uuid:a{z}</UUID></TiffData>'
        for z in range(5)
    )
    for z in range(5):
        channel = '<Channel ID="Channel:0:0" SamplesPerPixel="1"/>'
        image = f'<Image ID="Image:0"><Pixels ID="Pixels:0" {_PIXELS}>{channel}{parts}'
        xml = f'{_OPEN} UUID="urn:uuid:a{z}">{image}</Pixels></Image></OME>'
        path = folder / f"set_{z}.ome.tif"
        tifffile.imwrite(path, STACK[z], description=xml, metadata=None)


@pytest.mark.parametrize("first", [0, 3])
def test_a_set_of_files_is_one_stack(tmp_path: Path, first: int) -> None:
    write_set(tmp_path)
    volume = open_volume(tmp_path / f"set_{first}.ome.tif")
    np.testing.assert_array_equal(volume.data.compute(), STACK)
    assert (volume.voxel_size, volume.unit) == ((0.04, 0.004, 0.004), "micrometer")
    (tmp_path / "set_2.ome.tif").unlink()
    with pytest.raises(TsainError, match="gaps: slices 2 are not there"):
        open_volume(tmp_path / f"set_{first}.ome.tif")


def test_plates_are_refused(tmp_path: Path) -> None:
    wells = "".join(
        f'<Well ID="Well:{i}" Row="0" Column="{i}"><WellSample ID="WellSample:{i}" Index="{i}">'
        f'<ImageRef ID="Image:{i}"/></WellSample></Well>'
        for i in range(2)
    )
    images = "".join(
        f'<Image ID="Image:{i}"><Pixels ID="Pixels:{i}" {_PIXELS}><Channel ID="Channel:{i}:0" '
        f'SamplesPerPixel="1"/><TiffData IFD="{5 * i}" PlaneCount="5"/></Pixels></Image>'
        for i in range(2)
    )
    xml = f'{_OPEN}><Plate ID="Plate:0">{wells}</Plate>{images}</OME>'
    with tifffile.TiffWriter(tmp_path / "plate.ome.tif") as writer:
        for page in range(10):
            writer.write(
                STACK[page % 5],
                description=xml if page == 0 else None,
                metadata=None,
                contiguous=False,
            )
    with pytest.raises(TsainError, match="holds 2 images of 5 x 20 x 30"):
        open_volume(tmp_path / "plate.ome.tif")


@pytest.mark.parametrize("axes", ["CZYX", "TZYX"])
def test_channels_and_time_points_are_refused(tmp_path: Path, axes: str) -> None:
    data = np.stack([STACK, STACK])
    tifffile.imwrite(tmp_path / "a.ome.tif", data, ome=True, metadata={"axes": axes})
    with pytest.raises(TsainError, match="choose one channel and time point"):
        open_volume(tmp_path / "a.ome.tif")
