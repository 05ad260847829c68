"""What the dock says of a plan: what it comes to, what it takes, which command does it."""

from __future__ import annotations

from dataclasses import replace

from tsain_core.cli.as_command import as_command
from tsain_core.errors import TsainError
from tsain_core.inference.models import BASELINES
from tsain_core.interpolation.estimate import SliceCost, format_bytes
from tsain_core.interpolation.selection import format_slices
from tsain_core.volumes import LOST, unit_symbol

from ..layers.provenance import LayerMarks
from ..widgets.wording import duration
from ._parts import Parts
from ._worker_tasks import LayerRunPlan

#: The result in a command for a run that keeps it in memory.
_UNNAMED = "result.zarr"


def effect_of(plan: LayerRunPlan, note: str = "") -> str:
    """What a plan comes to, in a line, and what else is to be said of its stack."""
    if plan.parts is not None:
        text = _parts_words(plan.parts, plan.volume.shape[0])
        return f"{text} {note}" if note else text
    made, depth = plan.schedule, plan.volume.shape[0]
    whole = made.slices[0].before == 0 and made.slices[-1].after == depth - 1
    text = f"{depth} slices → " if whole else ""
    if not whole:
        first, last = made.slices[0].before, made.slices[-1].after
        text = f"Slices {first} to {last}: {last - first + 1} → "
    text += f"{len(made.slices)} slices, {len(made.synthetic)} of them computed"
    if (z := plan.volume.voxel_z) and made.step != 1:
        unit = unit_symbol(plan.volume.unit)
        text += f"; z {z:g} → {z * float(made.step):g} {unit}".rstrip()
    if made.largest_shift and plan.choice.name not in BASELINES:
        text += f"; up to {made.largest_shift:.3f} slices from their exact place"
    text += "."
    if doubt := plan.volume.provenance.get(LOST):
        text += f" Slices computed before are not known: the marks do not fit, {doubt}."
    return f"{text} {note}" if note else text


def _parts_words(parts: Parts, depth: int) -> str:
    if parts.found:
        what = f"the damaged parts of {_slices(parts.slices)} are"
    elif parts.slices:
        what = f"marked pixels of {_slices(parts.slices)} are"
        if parts.whole:
            what = f"{what[:-4]}, and all of {_slices(parts.whole)}, are"
    else:
        what = "marked pixels are"
    return f"{depth} slices; {what} computed, all others stay as they are."


def _slices(slices: tuple[int, ...]) -> str:
    return f"slice{'s' if len(slices) > 1 else ''} {format_slices(slices)}"


def made_of(marks: LayerMarks) -> str:
    """What a result has that was computed: "12 synthetic slices"."""
    words = [f"{len(marks.synthetic)} synthetic slices"] if marks.synthetic else []
    words += [f"{len(marks.partial)} slices repaired in part"] if marks.partial else []
    return " and ".join(words) or "0 synthetic slices"


def cost_of(plan: LayerRunPlan, one: SliceCost) -> str:
    """What a plan takes, if a slice takes that."""
    seconds = one.seconds * plan.evaluations
    size = len(plan.schedule.slices) * plan.volume.dtype.itemsize
    size *= plan.volume.shape[1] * plan.volume.shape[2]
    memory = one.memory + (0 if plan.output else size)
    where = "on disk before compression" if plan.output else "of result"
    tiles = f", {one.tiles} tiles a slice" if one.tiles > 1 else ""
    return (
        f"Takes about {duration(seconds)} and {format_bytes(memory)} of memory; "
        f"{format_bytes(size)} {where}{tiles}."
    )


def command_of(plan: LayerRunPlan) -> str:
    """The `tsain` command that does the same; it goes on with an unfinished run of the dock.

    Raises
    ------
    TsainError
        If a layer was not read from a file.
    """
    request = plan.request
    if not request.source:
        raise TsainError(
            "The layer was not read from a file, so no command can read it; save it first "
            "(File > Save Selected Layers), and open the file."
        )
    if plan.parts is not None and not request.repair_mask:
        raise TsainError(
            "The layer that marks the damage was not read from a file, so no command can read "
            "it; save it as a TIFF of labels (File > Save Selected Layers), and open the file."
        )
    if plan.along is not None and not request.labels:
        raise TsainError(
            "The labels were not read from a file, so no command can read them; save them as a "
            "TIFF (File > Save Selected Layers), and open the file."
        )
    return as_command(request if request.output else replace(request, output=_UNNAMED))
