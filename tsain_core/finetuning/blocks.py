"""Which slices a fine-tuning learns from, stops by, and is judged by."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import TsainError

LEAST = 3  # slices of a block: one triplet
_ENOUGH = 5  # slices of a block, where there are some to spare: few triplets mislead


@dataclass(frozen=True)
class Blocks:
    """Half-open ranges of z slices.

    Attributes
    ----------
    learn : tuple of ranges
        One or two, before and after the others.
    stop, judge : range
    """

    learn: tuple[tuple[int, int], ...]
    stop: tuple[int, int]
    judge: tuple[int, int]

    @property
    def learnt_from(self) -> str:
        """The slices that are learnt from, in words."""
        return " and ".join(f"{first} to {last - 1}" for first, last in self.learn)


def split_blocks(depth: int, held_out: float) -> Blocks:
    """Blocks of a volume of `depth` slices: learning, stopping, judging, and learning again.

    A thin volume is learnt from before the held-out blocks alone: a second side costs two triplets.

    Raises
    ------
    TsainError
        If there are too few slices for a triplet in each.
    """
    held = max(LEAST, min(_ENOUGH, depth // 5), round(depth * held_out))
    rest = depth - 2 * held
    if rest < LEAST:
        raise TsainError(
            f"The volume has {depth} slices; fine-tuning needs at least {3 * LEAST}, to learn "
            "from some and to be judged by others."
        )
    after = rest // 2 if rest >= 2 * _ENOUGH else 0
    first, last = rest - after, depth - after
    learn = ((0, first), (last, depth)) if after else ((0, first),)
    return Blocks(learn, (first, first + held), (first + held, last))
