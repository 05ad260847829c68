"""File > Open Sample: the phantom at once, real stacks from a local server."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QApplication, QProgressDialog, QPushButton

from napari_tsain.sample_data import sample_layer
from support.sample_server import STACK, Server
from tsain_core.errors import TsainError


def test_phantom_opens_from_the_menu_at_once(viewer: Any) -> None:
    start = time.process_time()  # not of the clock: other programs may have the processor
    (layer,) = viewer.open_sample("napari-tsain", "em_phantom")
    assert time.process_time() - start < 10
    assert layer.data.std() > 10 and tuple(layer.scale) == (40, 5, 5)
    assert "no specimen" in layer.metadata["generated"]


def test_sample_is_downloaded_with_its_licence(
    qtbot: Any,
    viewer: Any,
    tmp_path: Path,
    server: Server,
) -> None:
    from napari.utils.notifications import notification_manager

    ((data, attributes, kind),) = sample_layer("vnc1", tmp_path, server.files())
    layer = viewer._add_layer_from_data(data, attributes, kind)[0]
    np.testing.assert_array_equal(np.asarray(layer.data), STACK)
    np.testing.assert_array_equal(layer.scale, (50, 4.6, 4.6))
    assert "non-commercial" in layer.metadata["licence"]
    assert "Gerhard" in notification_manager.records[-1].message
    downloads = len(server.requests)
    sample_layer("vnc1", tmp_path, server.files())
    assert len(server.requests) == downloads  # it was there
    qtbot.wait(50)


def test_download_is_cancelled_with_the_button(
    qtbot: Any,
    viewer: Any,
    tmp_path: Path,
    server: Server,
) -> None:
    server.delay = 0.3

    def cancel() -> None:
        found = [w for w in QApplication.topLevelWidgets() if isinstance(w, QProgressDialog)]
        buttons = [b for dialog in found for b in dialog.findChildren(QPushButton)]
        if not buttons or not buttons[0].isVisible():
            QTimer.singleShot(50, cancel)
            return
        assert "non-commercial" in found[0].labelText()
        qtbot.mouseClick(buttons[0], Qt.MouseButton.LeftButton)

    QTimer.singleShot(100, cancel)
    with pytest.raises(TsainError, match="cancelled"):
        sample_layer("vnc1", tmp_path, server.files())
    assert len(server.requests) < len(STACK)
    qtbot.wait(50)


def test_without_a_network_it_says_so(
    qtbot: Any,
    viewer: Any,
    tmp_path: Path,
    server: Server,
) -> None:
    nowhere = "http://127.0.0.1:1"
    files = [replace(f, url=f"{nowhere}/{f.name}") for f in server.files()]
    with pytest.raises(TsainError, match="network"):
        sample_layer("fib25", tmp_path, files)
    qtbot.wait(50)
