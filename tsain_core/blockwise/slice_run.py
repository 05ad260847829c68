"""An OME-Zarr that is made slice by slice, and goes on where it was stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ..errors import TsainError, argument
from ..volumes._lock import OutputLock
from ..volumes._publish import cannot_write, publish, remove, to_disk
from ..volumes._zarr_sink import ZarrSink
from ..volumes.writer import Target, check_free, refuse_source
from ..volumes.zarr_layout import ZarrLayout, computed_digests, write_marks
from .run_store import FOLDER, RunStore, staging

_SETTINGS = "slices.json"


class SliceRun:
    """The slices of an OME-Zarr in the making; those that are written stay after a kill.

    Parameters
    ----------
    root : Path
        Where it grows.
    target : Target
    layout : ZarrLayout
        Chunks of a single slice are made, and no shards, so that slices share no file.
    settings : mapping
        What makes the slices come out as they do; JSON-able.

    Attributes
    ----------
    root : Path
    """

    def __init__(
        self, root: Path, target: Target, layout: ZarrLayout, settings: Mapping[str, Any]
    ) -> None:
        self.root, self._target = root, target
        self._layout = replace(layout, chunks=(1, *layout.chunks[1:]), shards=None)
        about = {"shape": target.shape, "dtype": target.dtype.name, "layout": self._layout}
        self._settings = json.loads(json.dumps({**settings, **about}, default=vars))
        self._store = RunStore(root)

    def begin(self, restart: bool = False) -> frozenset[int]:
        """Go on with what lies there, or begin.

        Parameters
        ----------
        restart : bool
            Forget what lies there.

        Returns
        -------
        frozenset of int
            Slices that are written already.

        Raises
        ------
        TsainError
            If a run with other settings lies there.
        """
        if restart:
            remove(self.root)
        elif self._store.plan_is_there():
            raise self._others("of a run block by block")
        old = stored_settings(self.root)
        if old is None:
            remove(self.root)
            self._sink = ZarrSink(self.root, self._target, self._layout)
            self._store.write(_SETTINGS, self._settings)
            return frozenset()
        found = sorted(k for k in {*old, *self._settings} if old.get(k) != self._settings.get(k))
        if found:
            raise self._others(f"with other settings ({', '.join(found)})")
        self._sink = ZarrSink.going_on(self.root, self._target, self._layout)
        return self._store.slices()

    def _others(self, what: str) -> TsainError:
        return TsainError(
            f"{self._target.name} was begun {what}: repeat the run that began it, or begin again "
            f"with {argument('restart')}."
        )

    def write(self, z: int, image: NDArray[Any]) -> None:
        """Write slice `z` (y, x), and note that it is there."""
        self._sink.write(z, image)
        for level, shape in enumerate(self._layout.levels(self._target.shape)):
            part = slice(z, z + 1), slice(0, shape[1]), slice(0, shape[2])
            to_disk(self.root / name for name in self._layout.files(level, shape, part))
        self._store.mark_slice(z)

    def finish(self) -> None:
        """Give the marks digests of the slices, and remove what is only for going on."""
        digests = computed_digests(self.root, self._target, self._layout)
        write_marks(self.root, replace(self._target.stamped_marks, digests=digests))
        self._store.sweep()


def stored_settings(root: Path) -> dict[str, Any] | None:
    """The settings of the run that lies at a place; None where none does, or it is damaged."""
    try:
        values = json.loads((root / FOLDER / _SETTINGS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return values if isinstance(values, dict) else None


@contextmanager
def slice_run(
    output: Path,
    target: Target,
    settings: Mapping[str, Any],
    *,
    layout: ZarrLayout,
    source: str = "",
    overwrite: bool = False,
    restart: bool = False,
) -> Iterator[tuple[SliceRun, frozenset[int]]]:
    """A result that is made slice by slice; it takes its name when the block ends without an error.

    After an error, or a kill, the slices that are written are kept beside it for the next run.

    Parameters
    ----------
    output : Path
    target, settings, layout
        As `SliceRun`.
    source : str
        Path of the input, which must not be written to.
    overwrite : bool
        Replace what has the name, at the end.
    restart : bool
        Forget what an unfinished run left.

    Yields
    ------
    (SliceRun, frozenset of int)
        The run, and the slices that are written already.

    Raises
    ------
    TsainError
        If it cannot be written, or a run with other settings lies there.
    """
    refuse_source(output, source)
    root = Path(str(staging(output)))
    with OutputLock(output) as lock:
        check_free(output, overwrite, writes_folder=True)
        try:
            run = SliceRun(root, target, layout, settings)
            yield run, run.begin(restart)
            run.finish()
            lock.check()
            publish(root, output, overwrite)
        except OSError as error:
            raise cannot_write(output, error) from error
        remove(output / FOLDER)
