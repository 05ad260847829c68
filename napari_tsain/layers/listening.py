"""Hearing what happens to layers after a dock has looked at them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

from napari.layers import Image

if TYPE_CHECKING:
    import napari

#: What changes where a layer lies.
PLACING = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")


def listen_to_images(
    viewer: napari.Viewer,
    names: Sequence[str],
    heard: Callable[[Any], None],
    stack: ExitStack,
) -> None:
    """Call `heard(event)` for events of all Image layers, those to come included.

    Parameters
    ----------
    viewer : napari.Viewer
    names : sequence of str
        Of the layers' events, such as "scale", "data", "name"; those that this version of napari
        does not have are left out.
    heard : callable (event)
        `event.source` is the layer.
    stack : ExitStack
        Unwinding it ends the listening.
    """
    layers: list[Any] = []

    def begin(layer: Any) -> None:
        if isinstance(layer, Image):
            layers.append(layer)
            for name in names:
                if name in layer.events:
                    layer.events[name].connect(heard)

    def end(layer: Any) -> None:
        if layer in layers:
            layers.remove(layer)
        for name in names:
            if name in layer.events:
                with suppress(ValueError):
                    layer.events[name].disconnect(heard)

    def end_all() -> None:
        for layer in list(layers):
            end(layer)

    def inserted(event: Any) -> None:
        begin(event.value)

    def removed(event: Any) -> None:
        if isinstance(event.value, Image):
            end(event.value)

    for layer in viewer.layers:
        begin(layer)
    events = viewer.layers.events
    events.inserted.connect(inserted)
    events.removed.connect(removed)
    stack.callback(end_all)
    stack.callback(events.inserted.disconnect, inserted)
    stack.callback(events.removed.disconnect, removed)


def refresh_choices(box: Any) -> None:
    """Look again which layers there are; the chosen one stays chosen if it is among them.

    A ComboBox of magicgui takes the first one when the chosen one got another name.
    """
    chosen = box.value
    with box.changed.blocked():
        box.reset_choices()
        kept = chosen is not None and any(chosen == layer for layer in box.choices)
        if kept:
            box.value = chosen
    if not kept and (box.value is not None or chosen is not None):
        box.changed.emit(box.value)


def choose_selected(viewer: napari.Viewer, box: Any) -> None:
    """Choose the layer that is selected in the viewer, if the box offers it."""
    active = viewer.layers.selection.active
    if active is not None and any(active == layer for layer in box.choices):
        box.value = active
