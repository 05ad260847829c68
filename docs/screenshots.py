"""Makes all pictures of the documents: the docks, and what `tsain demo` writes.

    python docs/screenshots.py                          the documents', from the generated stack
    python docs/screenshots.py --input STACK --output FOLDER [--at Y X] [--voxel-size Z Y X]

The second form makes the same pictures of a stack of yours. Needs a screen; without one:

    xvfb-run -a -s "-screen 0 1600x1000x24" python docs/screenshots.py
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

_SIZE = (1400, 860)
_PART = 384  # side of what is taken of a stack, from its middle
_SLICES = 7
_AT = (140, 140)  # a membrane of the generated stack


def main() -> None:
    """Make all pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--input", type=Path, help="a stack instead of the generated one")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent)
    parser.add_argument("--at", type=int, nargs=2, metavar=("Y", "X"), help="sampling query")
    parser.add_argument(
        "--voxel-size", type=float, nargs=3, metavar=("Z", "Y", "X"), help="if it is not stated"
    )
    args = parser.parse_args()
    if args.input and args.output == Path(__file__).parent:
        parser.error("Pictures of a stack of yours go to another folder: add --output FOLDER.")
    args.output.mkdir(parents=True, exist_ok=True)
    report(args.input, args.output)
    import napari

    viewer = napari.Viewer(show_welcome_screen=False)
    viewer.window.resize(*_SIZE)
    data, attributes = stack(args.input)
    if args.voxel_size:
        attributes["scale"] = args.voxel_size
    source = viewer.add_image(data, **attributes)
    result = interpolation(viewer, source, args.output)
    sampling(viewer, result, tuple(args.at) if args.at else _AT, args.output)
    cut_along_z(viewer, source, result, args.output)
    viewer.layers.remove(result)
    # the job may still write while it is cancelled
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        os.environ["TSAIN_HOME"] = home  # the job of the picture is not the user's
        fine_tuning(viewer, args.output)
    viewer.close()


def report(path: Path | None, folder: Path) -> None:
    """The pictures of `tsain demo`: slices that were left out, and a cut along z."""
    from tsain_core.cli.main import main as tsain

    with tempfile.TemporaryDirectory() as place:
        chosen = ["--input", str(path)] if path else []
        if tsain(["demo", *chosen, "--output", place]):
            raise SystemExit("The report could not be made.")
        for name in ("slices", "xz"):
            shutil.copy(Path(place, f"{name}.png"), folder / f"phantom-{name}.png")
            print(folder / f"phantom-{name}.png")


def stack(path: Path | None) -> tuple[Any, dict[str, Any]]:
    """Data and attributes of a layer: a few slices, small enough for a picture."""
    from napari_tsain.io import layer_data
    from napari_tsain.sample_data import em_phantom_layer

    if path is None:
        ((data, attributes, _),) = em_phantom_layer()
    else:
        data, attributes, _ = layer_data(path)
        data = data[0] if attributes.pop("multiscale") else data
        y, x = (max(0, (n - _PART) // 2) for n in data.shape[1:])
        data = np.asarray(data[:_SLICES, y : y + _PART, x : x + _PART])
    return data, attributes


def interpolation(viewer: Any, source: Any, folder: Path) -> Any:
    """The dock with a preview, compared, and with a result; returns the result's layer."""
    from napari_tsain.interpolation import InterpolateSlices

    dock = InterpolateSlices(viewer)
    dock.finish_loading()
    viewer.window.add_dock_widget(dock, name="Interpolate slices", area="right")
    wait(lambda: bool(dock.bar.estimate.text()))
    go(viewer, source, 2)
    dock.preview_bar.button.click()
    wait(lambda: "Preview" in viewer.layers)
    for name in ("Interpolated", "Mean"):
        dock.preview_bar.compare.buttons[name].click()
        save(viewer, folder / f"gui-preview-{name.lower()}.png")
    dock.preview_bar.button.click()
    pause(0.5)
    dock.bar.run.click()
    wait(lambda: dock.bar.status.text().startswith("Done"))
    result = viewer.layers[-1]
    go(viewer, result, 5)
    save(viewer, folder / "gui-interpolate.png")
    viewer.window.remove_dock_widget(dock)
    return result


def sampling(viewer: Any, result: Any, at: tuple[int, int], folder: Path) -> None:
    """Three steps round a query, closely; and the map of offset lengths."""
    from napari_tsain.layers.view import camera_of
    from napari_tsain.offsets import SamplingOffsets

    dock = SamplingOffsets(viewer)
    dock.finish_loading()
    viewer.window.add_dock_widget(dock, name="Sampling offsets", area="right")
    go(viewer, result, 5)
    world = result.data_to_world((5, *at))
    dock.query.pick.click()
    dock._picked(world)
    wait(lambda: "RSAB step 3" in viewer.layers and "mean offsets" in dock.status.text())
    camera = camera_of(viewer)
    camera.center, zoom = (0, *world[1:]), camera.zoom
    camera.zoom = 4 * zoom
    save(viewer, folder / "gui-sampling.png")
    viewer.reset_view()
    pause(0.3)
    dock.map.compute.click()
    wait(lambda: dock.map.compute.isEnabled())
    save(viewer, folder / "gui-sampling-map.png")
    viewer.window.remove_dock_widget(dock)
    for layer in [layer for layer in viewer.layers if layer.name.startswith("Map")]:
        viewer.layers.remove(layer)


def cut_along_z(viewer: Any, source: Any, result: Any, folder: Path) -> None:
    """The stack cut along z, before and after, side by side."""
    for layer in (source, result):
        layer.interpolation2d = "nearest"
    viewer.dims.order = (1, 0, 2)
    grid = viewer.canvas.grid if hasattr(viewer, "canvas") else viewer.grid
    grid.enabled, grid.shape, grid.stride = True, (2, 1), -1
    viewer.dims.set_point(1, source.data_to_world((0, source.data.shape[1] // 2, 0))[1])
    viewer.reset_view()
    save(viewer, folder / "gui-xz.png")
    grid.enabled, viewer.dims.order = False, (0, 1, 2)


def fine_tuning(viewer: Any, folder: Path) -> None:
    """The dock in mid-job, with the slices that it is judged by."""
    from napari_tsain.finetuning import FineTune
    from tsain_core.finetuning.jobs import list_jobs

    for name in list(viewer.window.dock_widgets):
        viewer.window.remove_dock_widget(viewer.window.dock_widgets[name])
    deep, attributes = deep_stack(viewer)
    viewer.layers.clear()
    viewer.add_image(deep, **attributes)
    dock = FineTune(viewer)
    dock.finish_loading()
    viewer.window.add_dock_widget(dock, name="Fine-tune interpolation", area="right")
    dock.setup.minutes_box.value = 3
    dock.start.click()
    dock.show_held_out.setChecked(True)
    wait(lambda: len(dock.curves.validations) >= 6, seconds=900)
    pause(1)
    save(viewer, folder / "gui-finetune.png")
    for job in list_jobs():
        job.cancel()


def deep_stack(viewer: Any) -> tuple[Any, dict[str, Any]]:
    """The layer's stack, or for the generated one a deeper one to learn from."""
    from tsain_core.sample_data.phantom import em_phantom

    layer = viewer.layers[0]
    names = ("name", "scale", "units", "axis_labels")
    attributes = {name: getattr(layer, name) for name in names}
    if layer.data.shape[0] >= 9:
        return layer.data, attributes
    return em_phantom((14, _PART, _PART), seed=0), attributes


def go(viewer: Any, layer: Any, z: int) -> None:
    """Show a slice."""
    viewer.dims.set_point(0, layer.data_to_world((z, 0, 0))[0])


def save(viewer: Any, path: Path) -> None:
    """Photograph the window when it has come to rest."""
    pause(1.0)
    viewer.screenshot(path=str(path), canvas_only=False, flash=False)
    print(path)


def pause(seconds: float) -> None:
    """Let Qt work for a while."""
    end = time.perf_counter() + seconds
    wait(lambda: time.perf_counter() > end)


def wait(until: Callable[[], bool], seconds: float = 300) -> None:
    """Let Qt work until something holds."""
    from qtpy.QtWidgets import QApplication

    end = time.perf_counter() + seconds
    while not until():
        if time.perf_counter() > end:
            raise SystemExit("Nothing happened for too long.")
        QApplication.processEvents()
        time.sleep(0.005)


if __name__ == "__main__":
    main()
