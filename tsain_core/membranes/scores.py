"""Scores of a segmentation, as the EM segmentation challenges define them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class MembraneScores:
    """How well membranes, and the regions they enclose, agree with a reference; 1 is best.

    Attributes
    ----------
    membrane : float
        F-score of membrane pixels, where a pixel counts as found within the tolerance.
    rand : float
        Foreground-restricted Rand score V^Rand, precision and recall weighted alike.
    information : float
        Foreground-restricted information-theoretic score V^Info, likewise.

    Notes
    -----
    The last two as defined by Arganda-Carreras et al., "Crowdsourcing the creation of image
    segmentation algorithms for connectomics" (2015), with alpha = 1/2.
    """

    membrane: float
    rand: float
    information: float


#: What stands below `membrane_table`.
MEMBRANE_LEGEND = (
    "membrane: F-score of membrane pixels, found within 2 pixels; Rand and information: of the "
    "regions that they enclose (V^Rand, V^Info). 1 is as in the real slice, by a segmenter that "
    "was trained on fly ssTEM."
)


def mean_of(scores: Sequence[MembraneScores]) -> MembraneScores:
    """Mean of each score."""
    return MembraneScores(*np.mean([astuple(s) for s in scores], axis=0).tolist())


def membrane_table(scores: Mapping[str, MembraneScores]) -> str:
    """A Markdown table, a row for each model."""
    width = max(len(name) for name in (*scores, "model"))
    lines = [
        f"| {'model':<{width}} | membrane | Rand  | information |",
        f"|{'-' * (width + 2)}|----------|-------|-------------|",
    ]
    for name, s in scores.items():
        lines.append(
            f"| {name:<{width}} | {s.membrane:8.3f} | {s.rand:5.3f} | {s.information:11.3f} |"
        )
    return "\n".join(lines)


def membrane_scores(
    probability: NDArray[np.floating],
    reference: Mask,
    tolerance: float = 2.0,
    threshold: float = 0.5,
) -> MembraneScores:
    """Compare membranes found in a slice with those of a reference.

    Parameters
    ----------
    probability : ndarray (y, x)
        Of membrane.
    reference : ndarray of bool (y, x)
        True on membranes: drawn by people, or found in the real slice.
    tolerance : float
        Pixels that a membrane may lie beside that of the reference.
    threshold : float
        Probability from which a pixel is membrane.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    if probability.shape != reference.shape:
        raise ValueError(f"Shapes differ: {probability.shape} and {reference.shape}.")
    found = probability >= threshold
    counts = _contingency(regions_of(probability, threshold), _components(~reference), ~reference)
    return MembraneScores(
        membrane=_tolerant_f(found, reference, tolerance),
        rand=_rand(counts),
        information=_information(counts),
    )


def regions_of(probability: NDArray[np.floating], threshold: float = 0.5) -> Labels:
    """Regions between membranes (y, x), grown over the membranes until they touch."""
    from skimage.segmentation import watershed

    seeds = _components(probability < threshold)
    grown: Labels = watershed(probability, seeds) if seeds.any() else seeds
    return grown


def _components(mask: Mask) -> Labels:
    from scipy.ndimage import label

    labels: Labels = label(mask)[0].astype(np.int64)
    return labels


def _tolerant_f(found: Mask, reference: Mask, tolerance: float) -> float:
    precision = _near(found, reference, tolerance)
    recall = _near(reference, found, tolerance)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _near(pixels: Mask, others: Mask, tolerance: float) -> float:
    """Share of `pixels` that have one of `others` within the tolerance."""
    from scipy.ndimage import distance_transform_edt

    if not pixels.any() or not others.any():
        return float(pixels.any() == others.any())
    return float((distance_transform_edt(~others)[pixels] <= tolerance).mean())


def _contingency(segments: Labels, reference: Labels, foreground: Mask) -> NDArray[np.float64]:
    """Pixels of the foreground that segment i and reference region j share, as shares of all."""
    from scipy.sparse import coo_array

    i, j = segments[foreground], reference[foreground]
    counts = coo_array((np.ones(len(i)), (i, j))).tocsr()
    counts.sum_duplicates()
    return counts / max(len(i), 1)  # type: ignore[no-any-return]


def _rand(p: NDArray[np.float64]) -> float:
    together = float((p.multiply(p)).sum())  # type: ignore[attr-defined]
    apart = 0.5 * sum(float((np.asarray(p.sum(axis)).ravel() ** 2).sum()) for axis in (0, 1))
    return together / apart if apart else 1.0


def _information(p: NDArray[np.float64]) -> float:
    segments, reference = (_entropy(np.asarray(p.sum(axis)).ravel()) for axis in (1, 0))
    joint = _entropy(p.data)  # type: ignore[arg-type]
    if segments + reference == 0:  # one region each
        return 1.0
    return 2 * (segments + reference - joint) / (segments + reference)


def _entropy(shares: NDArray[np.float64]) -> float:
    shares = shares[shares > 0]
    return float(-(shares * np.log2(shares)).sum())
