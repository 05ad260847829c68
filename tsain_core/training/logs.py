"""What is written of a training run while it goes on: CSV always, TensorBoard where it is there."""

from __future__ import annotations

import csv
import logging
import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from .loop import TrainingProgress

logger = logging.getLogger(__name__)

HEADER = ("step", "loss", "held_out_psnr", "largest_mean_offset", "seconds", "note")


class Logs:
    """Rows of `log.csv`, and scalars for TensorBoard; `every` steps are put together in one."""

    def __init__(self, writer: Any, flush: Any, board: Any, every: int) -> None:
        self._writer, self._flush, self._board, self._every = writer, flush, board, every
        self._recent: list[float] = []
        self._offset: float | None = None  # of the latest check, which is not at every step

    def add(self, progress: TrainingProgress) -> None:
        """What a step gave."""
        self._recent.append(progress.loss)
        if progress.offsets is not None:
            self._offset = progress.offsets.mean
        due = progress.step % self._every == 0 or progress.step == progress.steps
        if not (due or progress.note or progress.validation is not None):
            return
        finite = [loss for loss in self._recent if math.isfinite(loss)]
        loss = float(np.mean(finite)) if finite else math.nan
        self._writer.writerow(
            [
                progress.step,
                loss,
                progress.validation,
                self._offset,
                round(progress.seconds),
                progress.note,
            ]
        )
        self._flush()
        self._recent.clear()
        if self._board is not None:
            values = {"loss": loss, "held_out_psnr": progress.validation, "offset": self._offset}
            for name, value in values.items():
                if value is not None:
                    self._board.add_scalar(name, value, progress.step)


@contextmanager
def open_logs(folder: Path, every: int) -> Iterator[Logs]:
    """Logs in a folder; those of an interrupted run are gone on with.

    TensorBoard's events are written to `folder/tensorboard` if the package tensorboard is
    installed (`pip install "napari-tsain[training]"`).
    """
    with ExitStack() as stack:
        file = stack.enter_context((folder / "log.csv").open("a", newline="", encoding="utf-8"))
        writer = csv.writer(file)
        if file.tell() == 0:
            writer.writerow(HEADER)
        board = None
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            logger.info("tensorboard is not installed: only %s is written", folder / "log.csv")
        else:
            board = SummaryWriter(folder / "tensorboard")  # type: ignore[no-untyped-call]
            stack.callback(board.close)
        yield Logs(writer, file.flush, board, every)
