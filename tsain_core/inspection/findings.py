"""What an inspection finds: slices, what is wrong with each, and how badly."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Kind = Literal[
    "missing",
    "duplicate",
    "torn or folded",
    "out of focus",
    "contrast jump",
    "shifted",
    "charging",
    "gap",
]


@dataclass(frozen=True)
class Finding:
    """A slice that is likely damaged.

    Attributes
    ----------
    z : int
        Counted from 0. For "gap" and a lasting shift, the first slice behind the fault.
    kind : str
        What is wrong.
    severity : float
        0 to 1; 0.5 is just enough to be named, 1 is beyond doubt.
    reason : str
        What was measured, in words.
    replace : bool
        Whether computing the slice from its neighbours mends it; not so for a gap, nor for a shift
        that all later slices share.
    """

    z: int
    kind: Kind
    severity: float
    reason: str
    replace: bool = True


@dataclass(frozen=True)
class Inspection:
    """All findings in a stack.

    Attributes
    ----------
    depth : int
        Slices that were looked at.
    findings : tuple of Finding
        In order of z.
    """

    depth: int
    findings: tuple[Finding, ...]

    @property
    def damaged(self) -> tuple[int, ...]:
        """Slices that can be replaced: those between two sound ones."""
        bad = {f.z for f in self.findings if f.replace}
        sound = [z for z in range(self.depth) if z not in bad]
        if not sound:
            return ()
        return tuple(sorted(z for z in bad if sound[0] < z < sound[-1]))

    @property
    def lost(self) -> tuple[int, ...]:
        """Damaged slices at the ends of the stack, which have sound ones on one side only."""
        replaced = set(self.damaged)
        return tuple(f.z for f in self.findings if f.replace and f.z not in replaced)

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary a finding: z, kind, severity, reason, replace."""
        return [asdict(finding) for finding in self.findings]


def severity(score: float) -> float:
    """0.5 for what is just enough, towards 1 for what is far beyond."""
    return round(float(1 - 0.5 / max(score, 0.5)), 3)
