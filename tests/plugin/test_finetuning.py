"""The dock "Fine-tune interpolation", clicked through in a real window, with real processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication

from napari_tsain.widgets.model_added import MODEL_ADDED
from support.gui import add_dock, click, type_into
from tsain_core.finetuning.jobs import Job, JobState, list_jobs
from tsain_core.model_files.checkpoint import ModelInfo, save
from tsain_core.network import TSAIN
from tsain_core.sample_data.phantom import em_phantom

TIMEOUT = 300_000  # on machines that others use, too
NAME = "Fine-tune interpolation"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stirred_network: TSAIN) -> Iterator[Path]:
    """A folder of one's own with a small model in it; no process outlives the test."""
    folder = tmp_path / "home"
    monkeypatch.setenv("TSAIN_HOME", str(folder))
    info = ModelInfo("small", stirred_network.settings, licence="CC BY")
    save(folder / "models" / "small.safetensors", stirred_network, info)
    yield folder
    for job in list_jobs():
        process = job.process()
        if process is not None:
            process.kill()


def open_dock(viewer: Any, minutes: float = 0.75) -> Any:
    dock = add_dock(viewer, NAME)
    QApplication.processEvents()
    dock.setup.base_box.value = "small"
    dock.setup.minutes_box.value = minutes
    return dock


def stack(viewer: Any, depth: int = 12) -> Any:
    """As small as can be learnt from: jobs take seconds."""
    return viewer.add_image(em_phantom((depth, 64, 64), seed=1), name="stack", scale=(40, 5, 5))


def wait(qtbot: Any, condition: Any) -> None:
    qtbot.waitUntil(lambda: bool(condition()), timeout=TIMEOUT)


def start(qtbot: Any, dock: Any) -> Any:
    """Click Start; returns the job once it makes progress."""
    click(qtbot, dock.start)
    wait(qtbot, lambda: dock.curves.losses)
    (job, *_) = list_jobs()
    return job


def test_from_start_to_a_model_in_the_other_dock(
    qtbot: Any,
    viewer: Any,
    home: Path,
) -> None:
    stack(viewer)
    other = add_dock(viewer, "Interpolate slices")
    chosen = other.model.model_box.value
    dock = open_dock(viewer, minutes=0.1)
    assert "slices 0 to 5" in dock.plan.text() and "twice as far apart" in dock.plan.text()
    assert "called small-stack." in dock.plan.text()
    assert "small-stack" not in other.model.model_box.choices
    job = start(qtbot, dock)
    wait(qtbot, lambda: job.state.over and dock.bar.status.text().startswith("Better"))
    assert len(dock.curves.validations) >= 2
    (step, untuned), *later = dock.curves.validations
    assert step == 0 and untuned == dock.curves.untuned < max(value for _, value in later)
    assert "small-stack" in other.model.model_box.choices
    assert other.model.model_box.value == chosen  # tuned to one stack, it is no default
    card = (home / "models" / "small-stack.md").read_text(encoding="utf-8")
    assert "fine-tuned on `stack`" in card and "input.zarr" not in card
    # no complaint that its own name is taken: the next one is suggested
    assert "called small-stack-2." in dock.plan.text() and dock.start.isEnabled()
    type_into(qtbot, dock.setup.name_box.native, "small-stack")
    assert not dock.start.isEnabled() and "exists already" in dock.start.toolTip()
    type_into(qtbot, dock.setup.name_box.native, " ")  # as good as empty
    click(qtbot, dock.start)
    wait(qtbot, lambda: len(list_jobs()) == 2 and list_jobs()[0].process() is not None)
    assert list_jobs()[0].request.name == "small-stack-2"
    # a third one must not get the name that the second will have
    wait(qtbot, lambda: "called small-stack-3." in dock.plan.text())


def test_pause_while_it_starts_and_later(qtbot: Any, viewer: Any, home: Path) -> None:
    """The first one is seen, and taken back before the job has begun."""
    stack(viewer)
    dock = open_dock(viewer)
    assert not dock.bar.pause.isEnabled() and dock.bar.pause.toolTip() == "No job is at work"
    click(qtbot, dock.start)
    wait(qtbot, lambda: "Starting" in dock.bar.status.text() and dock.bar.pause.isEnabled())
    (job,) = list_jobs()
    click(qtbot, dock.bar.pause)
    wait(qtbot, lambda: dock.bar.pause.text() in ("Do not pause", "Resume"))
    assert "Paus" in dock.bar.status.text()
    wait(qtbot, dock.bar.pause.isEnabled)
    click(qtbot, dock.bar.pause)
    wait(qtbot, lambda: dock.bar.pause.text() == "Pause")
    wait(qtbot, lambda: dock.curves.losses)  # it goes on by itself
    assert [e["kind"] for e in job.events()[0]].count("started") == 1
    pause_resume_cancel(qtbot, dock, job)
    assert [p.name for p in (home / "models").iterdir()] == ["small.safetensors"]


def pause_resume_cancel(qtbot: Any, dock: Any, job: Job) -> None:
    """By the buttons, of a job that is at work."""
    click(qtbot, dock.bar.pause)
    wait(qtbot, lambda: dock.bar.pause.text() == "Resume")
    assert job.state is JobState.PAUSED and "Paused" in dock.bar.status.text()
    step = dock.curves.losses[-1][0]
    click(qtbot, dock.bar.pause)
    wait(qtbot, lambda: dock.curves.losses[-1][0] > step)
    click(qtbot, dock.bar.cancel)
    wait(qtbot, lambda: dock.bar.status.text().startswith("Cancelled"))
    assert job.process() is None


def test_it_follows_its_layer(qtbot: Any, viewer: Any) -> None:
    """The selected layer is chosen; data, names and axes that change later are heard."""
    first = stack(viewer)
    second = viewer.add_image(em_phantom((12, 64, 64), seed=2), name="Cell 3 [raw]")
    viewer.layers.selection.active = second
    dock = open_dock(viewer)
    assert dock.source.layer == second
    assert "called small-Cell-3-raw." in dock.plan.text()
    second.name = "renamed"
    assert "called small-renamed." in dock.plan.text()
    assert dock.source.layer_box.native.findText("renamed") >= 0
    second.data = em_phantom((5, 64, 64), seed=2)
    assert not dock.start.isEnabled() and "at least 9" in dock.plan.text()
    second.data = em_phantom((30, 64, 64), seed=2)
    assert dock.start.isEnabled() and "20 to 29" in dock.plan.text()
    second.data = em_phantom((30, 40, 64), seed=2)
    assert not dock.start.isEnabled() and "40 x 64" in dock.plan.text()
    viewer.layers.remove(second)
    assert dock.source.layer == first and "called small-stack." in dock.plan.text()


def test_what_could_not_be_written_is_noticed_before_it_starts(
    qtbot: Any,
    viewer: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stack(viewer)
    monkeypatch.setenv("TSAIN_HOME", "/proc/nobody")
    dock = add_dock(viewer, NAME)
    assert not dock.start.isEnabled() and "Nothing can be written" in dock.plan.text()


def test_held_out_slice_is_refreshed_and_stop_keeps_the_best(qtbot: Any, viewer: Any) -> None:
    source = stack(viewer)
    dock = open_dock(viewer)
    click(qtbot, dock.show_held_out)
    job = start(qtbot, dock)
    wait(qtbot, lambda: len(viewer.layers) == 4)
    truth, before, now = (viewer.layers[f"held-out: {name}"] for name in ("real", "before", "now"))
    np.testing.assert_array_equal(truth.scale, source.scale[-2:])
    first = now.data.copy()
    wait(qtbot, lambda: not np.array_equal(now.data, first))
    assert not np.array_equal(now.data, before.data)
    assert [c for c in dock.source.layer_box.choices] == [source]  # not to be learnt from
    click(qtbot, dock.show_held_out)
    assert list(viewer.layers) == [source]
    wait(qtbot, lambda: dock.curves.validations)
    click(qtbot, dock.bar.stop)
    wait(qtbot, lambda: "on slices it never saw" in dock.bar.status.text())
    assert job.state is JobState.FINISHED


def test_kill_and_resume(qtbot: Any, viewer: Any) -> None:
    """kill -9 is a readable line in a dock that goes on working."""
    stack(viewer)
    dock = open_dock(viewer)
    job = start(qtbot, dock)
    wait(qtbot, lambda: (job.folder / "state.pt").exists())
    process = job.process()
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    wait(qtbot, lambda: "killed" in dock.bar.status.text())
    assert dock.bar.pause.text() == "Resume" and not dock.bar.stop.isEnabled()
    reached = dock.curves.losses[-1][0]
    click(qtbot, dock.bar.pause)
    wait(qtbot, lambda: dock.curves.losses[-1][0] > reached)
    click(qtbot, dock.bar.cancel)
    wait(qtbot, lambda: job.state is JobState.CANCELLED)
    assert job.process() is None


def test_close_napari_and_reattach(qtbot: Any, make_napari_viewer: Any) -> None:
    """The job outlives the viewer; a new one finds it, with its whole curve."""
    first = make_napari_viewer(show=True)
    stack(first)
    dock = open_dock(first)
    job = start(qtbot, dock)
    seen = len(dock.curves.losses)
    first.close()
    QApplication.processEvents()
    assert job.process() is not None
    second = make_napari_viewer(show=True)
    dock = add_dock(second, NAME)
    wait(qtbot, lambda: len(dock.curves.losses) > seen)
    assert dock.bar.jobs.currentText().startswith("small-stack (")
    assert not dock.start.isEnabled() and "No image is open" in dock.start.toolTip()
    wait(qtbot, dock.bar.cancel.isVisible)
    click(qtbot, dock.bar.cancel)
    wait(qtbot, lambda: job.state is JobState.CANCELLED)
    assert job.process() is None


def test_what_cannot_be_learnt_from_says_why(qtbot: Any, viewer: Any) -> None:
    dock = open_dock(viewer)
    assert not dock.start.isEnabled() and "No image is open" in dock.plan.text()
    stack(viewer, depth=5)
    assert not dock.start.isEnabled() and "at least 9" in dock.start.toolTip()
    stack(viewer, depth=12)
    dock.source.layer_box.value = viewer.layers[-1]
    assert dock.start.isEnabled()
    for name in ("a/b", "tsain-lite", "mean"):
        type_into(qtbot, dock.setup.name_box.native, name)
        assert not dock.start.isEnabled() and name in dock.plan.text()
    assert list_jobs() == []


def test_news_of_models_do_not_reach_docks_that_are_gone(
    qtbot: Any,
    viewer: Any,
) -> None:
    dock = add_dock(viewer, "Interpolate slices")
    viewer.window.remove_dock_widget(dock)
    dock.deleteLater()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    QApplication.processEvents()
    MODEL_ADDED.arrived.emit("mine")  # raises where a dead widget is called


def test_what_the_curves_are_of_is_not_cut(qtbot: Any) -> None:
    from napari_tsain.finetuning._curves import Curves

    curves = Curves()
    qtbot.addWidget(curves)
    curves.resize(280, 250)
    curves.show()
    qtbot.wait(50)
    curves.add([{"kind": "begun", "stop": [108, 115]}])
    axis = curves._plots[1].getAxis("bottom")
    label = axis.label.mapRectToParent(axis.label.boundingRect())
    assert "108 to 114" in axis.label.toPlainText()
    assert label.left() >= -60 and label.right() <= axis.boundingRect().right()
    curves.take_down()
