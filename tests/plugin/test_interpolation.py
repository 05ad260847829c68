"""The dock "Interpolate slices", clicked through in a real window."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import tifffile
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QSlider
from scipy.ndimage import gaussian_filter, laplace

from napari_tsain.layers.provenance import layer_marks
from napari_tsain.widgets.model_file import ModelFile
from support.gui import canvas, click, overlay_text, tissue, type_into
from support.interpolation_dock import PLACED, TIMEOUT, open_dock, run_and_wait
from tsain_core.cli import main
from tsain_core.inference.models import InferenceSettings, run_to_end
from tsain_core.stack_check import choose_model
from tsain_core.volumes import create_volume, open_volume


def test_whole_stack(qtbot: Any, viewer: Any) -> None:
    data = tissue(4, 64)
    source = viewer.add_image(data, name="stack", **PLACED)
    dock = open_dock(viewer)
    assert "4 slices → 7" in dock.effect.text() and "z 40 → 20 nm" in dock.effect.text()
    layer = run_and_wait(qtbot, viewer, dock)

    assert layer.data.shape == (7, 64, 64) and layer.data.dtype == np.uint8
    np.testing.assert_array_equal(layer.data[::2], data)
    assert not np.array_equal(layer.data[1], data[0]) and layer.data[1].std() > 1
    np.testing.assert_array_equal(layer.scale, (20, 4, 4))
    np.testing.assert_array_equal(layer.translate, source.translate)
    assert layer.units == source.units and layer.axis_labels == source.axis_labels
    assert tuple(layer.contrast_limits) == (20, 200) and layer.gamma == source.gamma
    assert layer.colormap.name == "magma"
    marks = layer_marks(layer)
    assert marks.synthetic == (1, 3, 5) and marks.computed is None
    assert marks.provenance["model"] == "tsain-lite"


def test_z_size(qtbot: Any, viewer: Any) -> None:
    viewer.add_image(tissue(4, 64), name="stack", **PLACED)
    dock = open_dock(viewer)
    assert not dock.selection.z_size.isEnabled() and "factor" in dock.selection.z_size.toolTip()
    qtbot.keyClicks(dock.selection.factor, "z")
    type_into(qtbot, dock.selection.z_size, "16")
    layer = run_and_wait(qtbot, viewer, dock)
    assert layer.scale[0] == pytest.approx(16) and len(layer.data) == 8


def test_between_two_slices(qtbot: Any, viewer: Any) -> None:
    data = tissue(6, 64)
    source = viewer.add_image(data, name="stack", **PLACED)
    dock = open_dock(viewer)
    viewer.dims.set_point(0, source.data_to_world((2, 0, 0))[0])
    click(qtbot, dock.selection.mode_box.buttons["Between two"])
    click(qtbot, dock.selection.take_current)
    assert (dock.selection.first.value(), dock.selection.last.value()) == (2, 3)
    qtbot.keyClick(dock.selection.last.findChild(QSlider), Qt.Key.Key_Right)
    assert viewer.dims.point[0] == source.data_to_world((4, 0, 0))[0]  # the viewer follows
    layer = run_and_wait(qtbot, viewer, dock)
    np.testing.assert_array_equal(layer.data[::2], data[2:5])
    for i, z in ((0, 2), (2, 3), (4, 4)):
        np.testing.assert_allclose(layer.data_to_world((i, 5, 6)), source.data_to_world((z, 5, 6)))
    assert layer_marks(layer).synthetic == (1, 3)


def test_replace_slices_marked_with_the_key(qtbot: Any, viewer: Any) -> None:
    data = tissue(6, 64)
    data[2] = 0
    source = viewer.add_image(data, name="stack", **PLACED)
    dock = open_dock(viewer)
    for z in (2, 4, 4):  # marked, marked, and the mark taken back
        viewer.dims.set_point(0, source.data_to_world((z, 0, 0))[0])
        shift = Qt.KeyboardModifier.ShiftModifier
        qtbot.keyClick(canvas(viewer), Qt.Key.Key_D, shift)
    assert dock.selection.damaged.text() == "2"
    layer = run_and_wait(qtbot, viewer, dock)
    np.testing.assert_array_equal(layer.data[[0, 1, 3, 4, 5]], data[[0, 1, 3, 4, 5]])
    assert layer.data[2].mean() > 50
    np.testing.assert_array_equal(layer.scale, source.scale)
    assert layer_marks(layer).synthetic == (2,)


def test_nothing_marked_says_what_to_do(qtbot: Any, viewer: Any) -> None:
    viewer.add_image(tissue(4, 64), name="stack")
    dock = open_dock(viewer)
    click(qtbot, dock.selection.mode_box.buttons["Replace"])
    assert not dock.bar.run.isEnabled()
    assert "Shift-D" in dock.bar.run.toolTip() and "Shift-D" in dock.effect.text()
    type_into(qtbot, dock.selection.damaged, "9")
    assert not dock.bar.run.isEnabled() and "0 to 3" in dock.effect.text()


def test_no_layer_and_colour_are_refused_with_the_reason(qtbot: Any, viewer: Any) -> None:
    dock = open_dock(viewer)
    assert not dock.bar.run.isEnabled() and "No image is open" in dock.bar.run.toolTip()
    viewer.add_image(np.zeros((4, 32, 32, 3), np.uint8), name="photo", rgb=True)
    assert not dock.bar.run.isEnabled() and "colour" in dock.effect.text()
    assert not dock.preview_bar.button.isEnabled()


def test_lies_where_its_source_lies_under_any_transform(qtbot: Any, viewer: Any) -> None:
    affine = np.eye(4)
    affine[:3, :3] = [[1, 0.1, 0], [0, 0.9, 0.2], [0, -0.2, 0.9]]
    affine[:3, 3] = 3, 4, 5
    source = viewer.add_image(
        tissue(4, 64),
        name="stack",
        scale=(8, 2, 1),
        translate=(7, 6, 5),
        rotate=[[1, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]],
        shear=[0.1, 0.2, 0.3],
        affine=affine,
    )
    dock = open_dock(viewer)
    click(qtbot, dock.selection.mode_box.buttons["Between two"])
    viewer.dims.set_point(0, source.data_to_world((1, 0, 0))[0])
    dock.selection.set_pair(1)
    layer = run_and_wait(qtbot, viewer, dock)
    for z, corner in ((0, (0, 0)), (1, (9, 50)), (2, (63, 1))):
        np.testing.assert_allclose(
            layer.data_to_world((z, *corner)), source.data_to_world((1 + z / 2, *corner)), atol=1e-9
        )


@pytest.mark.parametrize("z_axis", [0, 1])
def test_stack_with_another_axis(qtbot: Any, viewer: Any, z_axis: int) -> None:
    stacks = np.stack([tissue(4, 64), 255 - tissue(4, 64)])
    data = stacks if z_axis == 1 else stacks.swapaxes(0, 1)
    labels = ("t", "z", "y", "x") if z_axis == 1 else ("z", "c", "y", "x")
    source = viewer.add_image(data, name="stack", scale=(3, 9, 1, 1), axis_labels=labels)
    dock = open_dock(viewer)
    assert dock.source.axis_box.visible and dock.source.z_axis == z_axis
    other = 1 - z_axis
    viewer.dims.set_point(other, source.scale[other])  # the second stack
    assert "1" in dock.source.place.value
    layer = run_and_wait(qtbot, viewer, dock)
    assert layer.ndim == 4 and layer.data.shape[z_axis] == 7 and layer.data.shape[other] == 1
    np.testing.assert_array_equal(np.squeeze(layer.data, other)[::2], stacks[1])
    assert layer.scale[z_axis] == source.scale[z_axis] / 2
    assert layer.translate[other] == source.scale[other]
    assert layer_marks(layer).z_axis == z_axis


def test_multiscale_takes_level_0(qtbot: Any, viewer: Any) -> None:
    data = tissue(3, 96)
    levels = [da.from_array(data), da.from_array(np.ascontiguousarray(data[:, ::2, ::2]))]
    viewer.add_image(levels, name="pyramid", multiscale=True, contrast_limits=(0, 255))
    layer = run_and_wait(qtbot, viewer, open_dock(viewer))
    np.testing.assert_array_equal(np.asarray(layer.data)[::2], data)


def test_result_on_disk(qtbot: Any, viewer: Any, tmp_path: Path) -> None:
    data = tissue(4, 64)
    viewer.add_image(data, name="stack", **PLACED)
    dock = open_dock(viewer)
    click(qtbot, dock.output.where.buttons["OME-Zarr on disk"])
    assert not dock.bar.run.isEnabled() and ".zarr" in dock.effect.text()
    target = tmp_path / "result.zarr"
    type_into(qtbot, dock.output.path_box.line_edit.native, str(target))
    layer = run_and_wait(qtbot, viewer, dock)
    written = open_volume(target)
    assert written.synthetic == (1, 3, 5) and written.voxel_size == (20, 4, 4)
    assert written.offset == (100, 20, 30)
    np.testing.assert_array_equal(written.data[::2], data)
    level = layer.data[0] if layer.multiscale else layer.data
    np.testing.assert_array_equal(np.asarray(level), np.asarray(written.data))
    np.testing.assert_array_equal(layer.scale, (20, 4, 4))
    assert layer_marks(layer).synthetic == (1, 3, 5)
    # there now: refused with the remedy, until it may be replaced
    assert not dock.bar.run.isEnabled() and "exists" in dock.effect.text()
    click(qtbot, dock.output.replace_box.native)
    assert dock.bar.run.isEnabled()


def test_result_too_large_for_memory(qtbot: Any, viewer: Any) -> None:
    huge = da.zeros((8000, 3000, 3000), dtype=np.uint8, chunks=(1, -1, -1))
    viewer.add_image(huge, name="huge", contrast_limits=(0, 255), multiscale=False)
    dock = open_dock(viewer)
    dock.model.model_box.value = "mean"
    click(qtbot, dock.bar.run)
    assert "OME-Zarr" in dock.bar.status.text() and len(viewer.layers) == 1


@pytest.mark.parametrize("text", ["", "/nowhere/model.safetensors", "wrong"])
def test_model_file_missing_or_wrong(
    qtbot: Any,
    viewer: Any,
    tmp_path: Path,
    text: str,
) -> None:
    viewer.add_image(tissue(3, 64), name="stack")
    dock = open_dock(viewer)
    dock.model.model_box.value = ModelFile.CHOSEN
    if not text:
        assert not dock.bar.run.isEnabled() and "safetensors" in dock.bar.run.toolTip()
        return
    wrong = tmp_path / "wrong.safetensors"
    wrong.write_bytes(b"no model")
    path = str(wrong) if text == "wrong" else text
    type_into(qtbot, dock.model.file_box.line_edit.native, path)
    qtbot.waitUntil(lambda: Path(path).name in dock.bar.run.toolTip(), timeout=TIMEOUT)
    assert not dock.bar.run.isEnabled() and Path(path).name in dock.effect.text()
    dock.model.model_box.value = "mean"
    assert dock.bar.run.isEnabled()


def test_notice_and_real_slices_only(qtbot: Any, viewer: Any) -> None:
    overlay = viewer.canvas.overlays.text if hasattr(viewer, "canvas") else viewer.text_overlay
    overlay.text, overlay.visible = "mine", True
    viewer.add_image(tissue(4, 64), name="stack", **PLACED)
    dock = open_dock(viewer)
    layer = run_and_wait(qtbot, viewer, dock)

    def go(z: int) -> None:
        viewer.dims.set_point(0, layer.data_to_world((z, 0, 0))[0])

    go(2)
    assert overlay_text(viewer) == "mine"
    go(3)
    assert "Slice 3 is SYNTHETIC" in overlay_text(viewer)
    layer.visible = False
    assert overlay_text(viewer) == "mine"
    layer.visible = True
    viewer.dims.ndisplay = 3
    assert "3 of the slices are SYNTHETIC" in overlay_text(viewer)
    viewer.dims.ndisplay = 2

    go(2)
    click(qtbot, dock.bar.real_only)
    shown = []
    for step in (1, 1, -1):
        viewer.dims.set_current_step(0, viewer.dims.current_step[0] + step)
        shown.append(round(layer.world_to_data(viewer.dims.point)[0]))
    assert shown == [4, 6, 4]
    assert overlay_text(viewer) == "mine"


def test_copied_command_does_the_same(qtbot: Any, viewer: Any, tmp_path: Path) -> None:
    path = tmp_path / "my stack.tif"
    data = tissue(4, 64)
    with create_volume(
        path, data.shape, data.dtype, voxel_size=(40, 4, 4), unit="nanometer"
    ) as new:
        for z, image in enumerate(data):
            new.write(z, image)
    (source,) = viewer.open(path, plugin="napari")
    source.scale, source.units = (40, 4, 4), "nanometer"
    dock = open_dock(viewer)
    layer = run_and_wait(qtbot, viewer, dock)
    click(qtbot, dock.bar.command)
    command, *words = shlex.split(QApplication.clipboard().text())
    assert command == "tsain"
    words[words.index("result.zarr")] = str(tmp_path / "result.zarr")
    assert main(words) == 0
    made = open_volume(tmp_path / "result.zarr")
    np.testing.assert_array_equal(np.asarray(made.data), layer.data)
    assert made.voxel_size == (20, 4, 4) and made.unit == "nanometer"


def test_command_of_a_layer_without_a_file(qtbot: Any, viewer: Any) -> None:
    viewer.add_image(tissue(3, 64), name="stack")
    dock = open_dock(viewer)
    click(qtbot, dock.bar.command)
    assert "save it first" in dock.bar.status.text()


def test_estimate_comes_before_a_run(qtbot: Any, viewer: Any) -> None:
    viewer.add_image(tissue(6, 128), name="stack")
    dock = open_dock(viewer)
    qtbot.waitUntil(lambda: "of memory" in dock.bar.estimate.text(), timeout=TIMEOUT)
    assert "Takes about" in dock.bar.estimate.text()


def test_settings_are_remembered(qtbot: Any, viewer: Any) -> None:
    dock = open_dock(viewer)
    dock.model.model_box.value = "optical-flow"
    dock.model.tile_box.value = 128
    dock.model.detail_box.value = 0.9
    dock.model.ensemble_box.value = 4
    dock.model.mix_box.value = True
    viewer.window.remove_dock_widget(dock)
    again = open_dock(viewer)
    assert again.model.model_box.value == "optical-flow" and again.model.tile_box.value == 128
    assert again.model.device_box.enabled is False  # a baseline runs nowhere else
    assert again.model.detail_box.value == 0.9 and not again.model.detail_box.enabled
    assert again.model.choice.settings == InferenceSettings(tile=128)
    again.model.model_box.value = "tsain-lite"
    assert again.model.mix_box.value
    again.model.mix_box.value = False
    assert again.model.choice.settings == InferenceSettings(tile=128, detail=0.9, ensemble=4)


def test_detail_makes_the_result_sharper(qtbot: Any, viewer: Any, tmp_path: Path) -> None:
    grain = np.random.default_rng(1).normal(0, 12, (4, 64, 64))
    noisy = np.clip(tissue(4, 64) + grain, 0, 255).astype(np.uint8)
    tifffile.imwrite(tmp_path / "stack.tif", noisy, photometric="minisblack")
    viewer.open(str(tmp_path / "stack.tif"), plugin="napari")
    dock = open_dock(viewer)
    sharpness = []
    for share in (0.0, 0.9):
        dock.model.detail_box.value = share
        assert ("--detail 0.9" in dock.command_line()) == (share > 0)
        count = len(viewer.layers)
        click(qtbot, dock.bar.run)
        qtbot.waitUntil(lambda n=count: len(viewer.layers) > n, timeout=TIMEOUT)
        qtbot.waitUntil(lambda: dock.bar.status.text().startswith("Done"), timeout=TIMEOUT)
        sharpness.append(laplace(np.asarray(viewer.layers[-1].data[1], float)).var())
    assert sharpness[1] > 1.2 * sharpness[0]


def test_fits_a_full_hd_screen(qtbot: Any, viewer: Any) -> None:
    viewer.add_image(np.stack([tissue(4, 64)] * 2), name="stack")
    dock = open_dock(viewer)
    dock.model.advanced.expand(animate=False)
    click(qtbot, dock.output.where.buttons["OME-Zarr on disk"])
    for mode in dock.selection.mode_box.buttons.values():
        click(qtbot, mode)
        QApplication.processEvents()
        assert dock.minimumSizeHint().height() < 940 and dock.minimumSizeHint().width() < 420


def test_the_model_is_checked_on_the_stack(qtbot: Any, viewer: Any) -> None:
    noise = np.random.default_rng(0).normal(size=(9, 64, 64))
    smooth = gaussian_filter(noise, (3, 0, 0), mode="wrap")  # the mean is nearly right
    viewer.add_image(np.clip(128 + 40 * smooth / smooth.std(), 0, 255).astype(np.uint8))
    dock = open_dock(viewer)
    qtbot.waitUntil(lambda: "On this stack" in dock.check.text(), timeout=TIMEOUT)
    assert dock.check.text().startswith("On this stack tsain-lite is ")
    assert "worse than the mean of neighbours" in dock.check.text()
    assert "structure" in dock.check.toolTip()

    assert dock.model.choice.settings.mean_shares is None
    dock.model.mix_box.value = True
    qtbot.waitUntil(lambda: "tsain-lite mixed with the mean" in dock.check.text(), timeout=TIMEOUT)
    shares = dock.model.choice.settings.mean_shares
    assert shares is not None and max(shares) > 0.5
    layer = run_and_wait(qtbot, viewer, dock)
    assert layer_marks(layer).provenance["mean_shares"] == list(shares)

    dock.model.model_box.value = "auto"
    assert "being compared" in dock.bar.run.toolTip() and not dock.bar.run.isEnabled()
    qtbot.waitUntil(lambda: "Best here: " in dock.check.text(), timeout=TIMEOUT)
    best = dock.model.choice
    known = run_to_end(choose_model(viewer.layers[0].data, best.settings.plain))
    assert (best.name, best.settings.mix_shares) == (known.name, known.settings.mix_shares)
    assert f"Best here: {best.name}" in dock.check.text()
    layer = run_and_wait(qtbot, viewer, dock)
    assert layer_marks(layer).provenance["model"] == best.name

    viewer.add_image(tissue(2, 64), name="thin")
    dock.source.layer_box.value = viewer.layers["thin"]
    qtbot.waitUntil(lambda: "Not checked" in dock.check.text(), timeout=TIMEOUT)
    assert dock.model.choice.name == "tsain-lite"
    assert dock.bar.run.isEnabled()


def test_a_check_gives_way_to_another_choice(qtbot: Any, viewer: Any) -> None:
    viewer.add_image(tissue(9, 96), name="first")
    dock = open_dock(viewer)
    qtbot.waitUntil(lambda: "slices" in dock.check.text(), timeout=TIMEOUT)
    viewer.add_image(tissue(5, 48), name="second")
    dock.source.layer_box.value = viewer.layers["second"]
    qtbot.waitUntil(lambda: "3 triplets" in dock.check.text(), timeout=TIMEOUT)
    dock.model.model_box.value = "mean-blur2"
    qtbot.waitUntil(
        lambda: "the mean of neighbours blurred by 2 pixels" in dock.check.text(), timeout=TIMEOUT
    )
