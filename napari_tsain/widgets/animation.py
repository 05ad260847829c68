"""How fast napari's animations run."""

from __future__ import annotations

from qtpy.QtWidgets import QLabel, QWidget


def animate(window: QWidget | None, percent: int) -> None:
    """Set the speed of animations in a window.

    Every frame of napari's "in progress" redraws the whole window. Where no graphics card does
    that, a fifth of the processor's time went into it.
    """
    for label in window.findChildren(QLabel) if window is not None else ():
        if (movie := label.movie()) is not None:
            movie.setSpeed(percent)
