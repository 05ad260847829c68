"""How good the chosen model is on the chosen stack, in one line under the model picker."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLabel, QWidget

from tsain_core.errors import TsainError
from tsain_core.inference.models import BASELINES, InferenceSettings, default_model
from tsain_core.stack_check import Checked, Chosen, check_stack, choose_model
from tsain_core.volumes import Volume

from ..widgets.source_form import SourceForm
from ..widgets.worker import JobQueue
from ._model import AUTO, ModelChoice, ModelForm


class CheckLine(QLabel):
    """Compares the model with the others on some slices of the stack, and says the result.

    The best one becomes what `AUTO` stands for.

    Parameters
    ----------
    source : SourceForm
    model : ModelForm
    queue : JobQueue
        Of the dock: a preview or a run stops the check.

    Attributes
    ----------
    stopped : Signal
        The check was stopped before its end; `begin` starts it again.
    """

    stopped = Signal()

    def __init__(
        self,
        source: SourceForm,
        model: ModelForm,
        queue: JobQueue,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._source, self._model, self._queue = source, model, queue
        self._checked: tuple[Any, ...] | None = None
        self._running = False
        self.setWordWrap(True)
        self.setVisible(False)

    def forget(self) -> None:
        """The stack is another one."""
        self._checked = None
        self._model.set_mixes({})
        self._model.set_best(None)
        self._say("")

    def stop_outdated(self) -> None:
        """Stop a check whose stack or model is no longer chosen."""
        if self._running and self._wanted() != self._checked:
            self._queue.cancel()

    def begin(self) -> None:
        """Check the model, unless that was done, or there is no stack."""
        wanted = self._wanted()
        if wanted is None or wanted == self._checked:
            return
        self._checked, self._running = wanted, True
        volume, choice = self._source.stack(), self._model.to_check
        self._say("Comparing models on some slices of this stack ...")
        self._queue.start(
            lambda: _work(volume, choice),
            on_event=self._progress,
            on_done=lambda chosen: self._arrived(choice.name, chosen),
            on_error=lambda error: self._failed(choice.name, error),
            on_cancel=self._cancelled,
        )

    def _wanted(self) -> tuple[Any, ...] | None:
        """Identifies the check that the dock's choices call for."""
        source = self._source
        try:
            source.stack()
            choice = self._model.to_check
        except TsainError:
            return None
        settings = replace(choice.settings, tile=None, detail=0.0, ensemble=1)
        place = id(source.layer), source.z_axis, source.index
        return *place, choice.name, settings, self._model.mixes

    def _progress(self, event: Checked) -> None:
        self._say(f"Comparing models on this stack: {event.done} of {event.total} slices")

    def _cancelled(self) -> None:
        self._running, self._checked = False, None
        self._say("")
        self.stopped.emit()

    def _failed(self, chosen: str, error: Exception) -> None:
        self._running = False
        self._say(f"Not checked: {error}")
        name = default_model() if chosen == AUTO else chosen
        self._model.set_mixes({name: InferenceSettings()})
        if chosen == AUTO:
            self._model.set_best(name)

    def _arrived(self, wanted: str, chosen: Chosen) -> None:
        self._running = False
        self._model.set_mixes({chosen.name: chosen.settings})
        if chosen.check is None:
            self._say("Not checked: the slices of the stack are too few, too small or empty.")
        else:
            label = chosen.label if self._model.mixes else chosen.name
            sentence = chosen.check.sentence(label)
            self._say(f"Best here: {label}. {sentence}" if wanted == AUTO else sentence)
            self.setToolTip(f"<pre>{chosen.check.table(label)}</pre>")
        if wanted == AUTO:
            self._model.set_best(chosen.name)

    def _say(self, text: str) -> None:
        self.setText(text)
        self.setToolTip("")
        self.setVisible(bool(text))


def _work(volume: Volume, choice: ModelChoice) -> Generator[Checked, None, Chosen]:
    if choice.name == AUTO:
        return (yield from choose_model(volume, choice.settings))
    networks = [choice.name if choice.name not in BASELINES else default_model()]
    check = yield from check_stack(volume, networks, choice.settings)
    known = check.mixed.get(choice.name)
    return Chosen(choice.name, known.settings(choice.settings) if known else choice.settings, check)
