"""Opening and saving through napari: real files of each format."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import dask.array as da
import h5py
import imageio.v3 as imageio
import mrcfile
import numpy as np
import pytest
import zarr
from napari.utils.notifications import notification_manager
from npe2 import DynamicPlugin
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QApplication

from napari_tsain.io import get_reader, layer_data
from napari_tsain.io._dataset_dialog import DatasetDialog
from napari_tsain.layers.provenance import layer_marks
from support.gui import tissue
from tsain_core.errors import TsainError
from tsain_core.volumes import create_volume, open_volume

PLUGIN = "napari-tsain"
SIZE, OFFSET = (40.0, 4.0, 4.0), (100.0, 20.0, 30.0)
PROVENANCE = {"model": "mean", "z_step": "1/2"}


def write(path: Path, data: Any) -> Path:
    with create_volume(
        path,
        data.shape,
        data.dtype,
        voxel_size=SIZE,
        unit="nanometer",
        offset=OFFSET,
        synthetic=(1, 3),
        provenance=PROVENANCE,
    ) as writer:
        for z, image in enumerate(data):
            writer.write(z, image)
    return path


def cremi(path: Path, data: Any) -> Path:
    with h5py.File(path, "w") as file:
        raw = file.create_dataset("volumes/raw", data=data)
        raw.attrs["resolution"], raw.attrs["offset"] = SIZE, OFFSET
        file.create_dataset("volumes/other", data=255 - data)
        file.create_dataset("table", data=np.zeros((5, 2)))
    return path


@pytest.mark.parametrize("name", ["a.zarr", "a.h5", "a.ome.tif"])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_reads_what_was_written(viewer: Any, tmp_path: Path, name: str, dtype: str) -> None:
    data = tissue(5, 40, dtype)
    (layer,) = viewer.open(str(write(tmp_path / name, data)), plugin=PLUGIN)
    assert isinstance(layer.data, da.Array)
    np.testing.assert_array_equal(np.asarray(layer.data), data)
    np.testing.assert_array_equal(layer.scale, SIZE)
    np.testing.assert_array_equal(layer.translate, OFFSET)
    assert [str(unit) for unit in layer.units] == ["nanometer"] * 3
    assert layer.axis_labels == ("z", "y", "x") and layer.name == "a"
    marks = layer_marks(layer)
    assert marks.synthetic == (1, 3) and marks.provenance == PROVENANCE
    assert marks.source == str(tmp_path / name)


def test_reads_mrc_and_folders_of_slices(viewer: Any, tmp_path: Path) -> None:
    data = tissue(4, 40)
    with mrcfile.new(tmp_path / "a.mrc") as file:
        file.set_data(data.astype(np.int16))
        file.set_volume()
        file.voxel_size = (40, 40, 400)  # x, y, z in angstrom
    folder = tmp_path / "slices"
    folder.mkdir()
    for z, image in enumerate(data):
        imageio.imwrite(folder / f"slice_{z + 8}.png", image)
    (mrc,) = viewer.open(str(tmp_path / "a.mrc"), plugin=PLUGIN)
    np.testing.assert_array_equal(np.asarray(mrc.data), data)
    assert mrc.scale[0] == 10 * mrc.scale[2] > 0
    (stack,) = viewer.open(str(folder), plugin=PLUGIN)
    np.testing.assert_array_equal(np.asarray(stack.data), data)
    np.testing.assert_array_equal(stack.scale, (1, 1, 1))


def test_large_ome_zarr_opens_as_a_lazy_pyramid(viewer: Any, tmp_path: Path) -> None:
    data = tissue(3, 600)
    (layer,) = viewer.open(str(write(tmp_path / "a.zarr", data)), plugin=PLUGIN)
    assert layer.multiscale and [level.shape[1] for level in layer.data] == [600, 300]
    assert all(isinstance(level, da.Array) for level in layer.data)
    np.testing.assert_array_equal(layer.scale, SIZE)
    np.testing.assert_array_equal(np.asarray(layer.data[0]), data)


def test_nothing_but_a_slice_is_read_on_opening(tmp_path: Path) -> None:
    folder = tmp_path / "slices"
    folder.mkdir()
    for z, image in enumerate(tissue(4, 40)):
        imageio.imwrite(folder / f"{z}.png", image)
    (folder / "3.png").write_bytes((folder / "3.png").read_bytes()[:200])
    data, _, _ = layer_data(folder)  # would fail if all were read
    assert data.shape == (4, 40, 40)
    with pytest.raises(TsainError):
        data[3].compute()


def test_ambiguous_file_asks_which_dataset(qtbot: Any, viewer: Any, tmp_path: Path) -> None:
    data = tissue(3, 40)
    path = tmp_path / "two.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("first", data=data)
        file.create_dataset("second", data=255 - data)
        file.create_dataset("movie", data=data[None, ..., None])  # of one time and one channel
        file.create_dataset("table", data=np.zeros((5, 2)))

    def answer(dataset: str | None) -> None:
        seen = [w for w in QApplication.topLevelWidgets() if isinstance(w, DatasetDialog)]
        dialog = next((w for w in seen if w.isVisible()), None)
        if dialog is None:  # on a busy machine it comes later
            QTimer.singleShot(300, lambda: answer(dataset))
            return
        (table,) = dialog.tree.findItems("table", Qt.MatchFlag.MatchExactly)
        assert table.isDisabled() and "stack" in table.toolTip(0)
        (movie,) = dialog.tree.findItems("movie", Qt.MatchFlag.MatchExactly)
        assert not movie.isDisabled()
        if dataset is None:
            qtbot.mouseClick(dialog.cancel_button, Qt.MouseButton.LeftButton)
            return
        (item,) = dialog.tree.findItems(dataset, Qt.MatchFlag.MatchExactly)
        place = dialog.tree.visualItemRect(item).center()
        qtbot.mouseClick(dialog.tree.viewport(), Qt.MouseButton.LeftButton, pos=place)
        qtbot.mouseClick(dialog.open_button, Qt.MouseButton.LeftButton)

    QTimer.singleShot(300, lambda: answer("second"))
    (layer,) = viewer.open(str(path), plugin=PLUGIN)
    np.testing.assert_array_equal(np.asarray(layer.data), 255 - data)
    assert layer_marks(layer).dataset == "second"
    QTimer.singleShot(300, lambda: answer(None))
    assert viewer.open(str(path), plugin=PLUGIN) == []
    assert len(viewer.layers) == 1
    qtbot.wait(50)  # the dialogs go


def test_cremi_file_needs_no_question(viewer: Any, tmp_path: Path) -> None:
    data = tissue(3, 40)
    (layer,) = viewer.open(str(cremi(tmp_path / "cremi.h5", data)), plugin=PLUGIN)
    np.testing.assert_array_equal(np.asarray(layer.data), data)
    np.testing.assert_array_equal(layer.scale, SIZE)


def test_declines_what_is_not_for_it(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("photo.jpg", "stack.tif", "table.csv"):
        (tmp_path / name).write_bytes(b"")
        assert get_reader(str(tmp_path / name)) is None
    assert get_reader(str(tmp_path / "empty")) is None
    assert get_reader([str(tmp_path / "a.h5"), str(tmp_path / "b.h5")]) is None


def test_leaves_ome_zarr_to_a_reader_made_for_it(tmp_path: Path) -> None:
    ours = write(tmp_path / "ours.zarr", tissue(2, 32))
    theirs = tmp_path / "theirs.zarr"
    with create_volume(theirs, (2, 32, 32), np.uint8) as writer:
        for z in range(2):
            writer.write(z, np.zeros((32, 32), np.uint8))
    for name in ("zarr.json", ".zattrs"):  # as another program would have written it
        if (theirs / name).exists():
            values = json.loads((theirs / name).read_text())
            values.get("attributes", values).pop("tsain")
            (theirs / name).write_text(json.dumps(values))
    assert get_reader(str(ours)) is not None and get_reader(str(theirs)) is not None
    with DynamicPlugin("napari-ome-zarr") as other:

        @other.contribute.reader(filename_patterns=["*.zarr"], accepts_directories=True)
        def read(path: str) -> None:
            return None

        assert get_reader(str(theirs)) is None
        assert get_reader(str(ours)) is not None  # with marks that others would lose
        other.plugin_manager.disable("napari-ome-zarr")
        assert get_reader(str(theirs)) is not None
        # napari cannot register the commands of a plugin again that never ran
        with other.plugin_manager.events.enablement_changed.blocked():
            other.plugin_manager.enable("napari-ome-zarr")
        assert get_reader(str(theirs)) is None
    assert get_reader(str(theirs)) is not None  # the other is gone


def test_a_file_that_cannot_be_read_says_so_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "broken.h5"
    path.write_bytes(b"no HDF5")
    read = get_reader(str(path))
    assert read is not None
    with pytest.raises(TsainError, match="broken.h5"):
        read(str(path))


@pytest.mark.parametrize("name", ["b.zarr", "b.h5", "b.ome.tif"])
def test_saving_keeps_everything(viewer: Any, tmp_path: Path, name: str) -> None:
    data = tissue(5, 40)
    (layer,) = viewer.open(str(write(tmp_path / "a.zarr", data)), plugin=PLUGIN)
    (written,) = layer.save(str(tmp_path / name), plugin=PLUGIN)
    volume = open_volume(written)
    np.testing.assert_array_equal(np.asarray(volume.data), data)
    assert volume.voxel_size == SIZE and volume.unit == "nanometer" and volume.offset == OFFSET
    assert volume.synthetic == (1, 3) and volume.provenance == PROVENANCE


def test_saving_a_pyramid_writes_level_0(viewer: Any, tmp_path: Path) -> None:
    data = tissue(3, 600)
    (layer,) = viewer.open(str(write(tmp_path / "a.zarr", data)), plugin=PLUGIN)
    layer.save(str(tmp_path / "b.h5"), plugin=PLUGIN)
    np.testing.assert_array_equal(np.asarray(open_volume(tmp_path / "b.h5").data), data)


def test_saving_over_its_own_source_is_refused(viewer: Any, tmp_path: Path) -> None:
    data = tissue(3, 40)
    path = write(tmp_path / "a.zarr", data)
    (layer,) = viewer.open(str(path), plugin=PLUGIN)
    with pytest.raises(Exception, match="source"):
        layer.save(str(path), plugin=PLUGIN)
    np.testing.assert_array_equal(np.asarray(open_volume(path).data), data)


def test_saving_mixed_units_gives_one(viewer: Any, tmp_path: Path) -> None:
    units = ("micrometer", "nanometer", "nanometer")
    layer = viewer.add_image(tissue(3, 40), scale=(0.04, 4, 4), units=units)
    layer.save(str(tmp_path / "a.h5"), plugin=PLUGIN)
    volume = open_volume(tmp_path / "a.h5")
    assert volume.unit == "nanometer" and volume.voxel_size == pytest.approx((40, 4, 4))


def test_saving_says_what_it_cannot_keep(viewer: Any, tmp_path: Path) -> None:
    rgb = viewer.add_image(np.zeros((3, 32, 32, 3), np.uint8), rgb=True, name="photo")
    with pytest.raises(Exception, match="colour"):
        rgb.save(str(tmp_path / "a.h5"), plugin=PLUGIN)
    times = viewer.add_image(np.zeros((2, 3, 32, 32), np.uint8), name="times")
    with pytest.raises(Exception, match="Split Stack"):
        times.save(str(tmp_path / "b.h5"), plugin=PLUGIN)
    turned = viewer.add_image(tissue(3, 32), rotate=(0, 0, 30), name="turned")
    with _notified("rotate"):
        turned.save(str(tmp_path / "c.h5"), plugin=PLUGIN)
    assert not (tmp_path / "a.h5").exists() and not (tmp_path / "b.h5").exists()


class _notified:
    """Within it, a napari notification with that text must come."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __enter__(self) -> None:
        from napari.utils.notifications import notification_manager

        self.manager = notification_manager
        self.before = len(notification_manager.records)

    def __exit__(self, *_: Any) -> None:
        new = [record.message for record in self.manager.records[self.before :]]
        assert any(self.text in message for message in new), new


def test_warnings_of_readers_are_notifications_each_time(viewer: Any, tmp_path: Path) -> None:
    for z in range(3):
        imageio.imwrite(tmp_path / f"z_{z - 3}.png", tissue(1, 20)[0])
    for _ in range(2):
        before = len(notification_manager.records)
        viewer.open(str(tmp_path), plugin=PLUGIN)
        shown = [str(record) for record in notification_manager.records[before:]]
        assert [text for text in shown if "from z_-3.png to z_-1.png" in text], shown


@pytest.mark.parametrize("name", ["a.zarr", "a.ome.tif", "a.h5", "a.mrc", "slices"])
def test_what_never_ends_is_not_waited_for(tmp_path: Path, name: str) -> None:
    """Asking for a reader looks into a Zarr's metadata, and reading into files of a folder."""
    path = tmp_path / name
    if name in ("a.zarr", "slices"):
        path.mkdir()
        for inside in (
            (".zgroup", ".zattrs", "zarr.json") if name == "a.zarr" else ("0.png", "1.png")
        ):
            os.mkfifo(path / inside)
    else:
        os.mkfifo(path)
    reader = get_reader(str(path))
    if reader is not None:
        with pytest.raises(TsainError):
            reader(str(path))


def test_missing_data_are_named_in_the_window(viewer: Any, tmp_path: Path) -> None:
    stack = np.random.default_rng(0).integers(1, 255, (6, 20, 30), np.uint8)
    array = zarr.create_array(tmp_path / "a.zarr", data=stack, chunks=(1, 10, 15))
    (tmp_path / "a.zarr" / array.metadata.encode_chunk_key((2, 0, 0))).unlink()
    viewer.open(str(tmp_path / "a.zarr"), plugin="napari-tsain")
    assert any("slice 2 of 6 lacks data" in r.message for r in notification_manager.records)
