"""Fit computed pixels into a real slice so that no seam shows.

As in Poisson image editing (Pérez, Gangnet and Blake 2003), the gradients of the computed pixels
are kept, and the grey values at the border of the mask are those of the real slice. That is the
same as adding a correction that equals the difference (real - computed) on the border. Two parts of
it are told apart: brightness, which differs from slice to slice, is carried through the whole mask
by a membrane, whose Laplacian is 0; fine structure that does not meet at the border fades within a
few pixels, by the screened Poisson equation (Bhat et al. 2008), so that it is not drawn into the
mask.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bits = NDArray[np.bool_]

#: Width of the ring of real pixels round a mask that the correction is taken from.
RING = 5
_BRIGHTNESS = 10.0  # sigma in pixels: coarser differences along the border are brightness
_FADE = 3.0  # pixels in which finer ones fade to 1/e
_DIRECT = 20_000  # unknowns that are solved for directly
_TOLERANCE, _ROUNDS = 1e-3, 200


def blend(real: Floats, computed: Floats, mask: Bits) -> Floats:
    """The computed pixels, fitted to the real ones round them.

    Parameters
    ----------
    real : ndarray (y, x)
        Grey values; those under the mask do not count, nor do those that are not finite.
    computed : ndarray (y, x)
        Finite under the mask, and `RING` pixels round it.
    mask : ndarray of bool (y, x)
        What is to be fitted.

    Returns
    -------
    ndarray (y, x)
        Of use under the mask only.
    """
    import cv2
    from scipy.ndimage import binary_dilation

    square = np.ones((3, 3))
    ring = binary_dilation(mask, square, RING) & ~mask & np.isfinite(real) & np.isfinite(computed)
    if not ring.any():
        return computed
    difference = np.where(ring, real - np.where(ring, computed, 0), 0)
    # OpenCV's, which is many times faster on large slices
    weight, total = (
        cv2.GaussianBlur(image.astype(np.float32), (0, 0), _BRIGHTNESS)
        for image in (ring, difference)
    )
    coarse = total / np.maximum(weight, np.float32(1e-9))
    border = binary_dilation(mask, square) & ring
    brightness = membrane(np.where(border, coarse, 0), border, mask)
    structure = membrane(np.where(border, difference - coarse, 0), border, mask, _FADE)
    return computed + brightness + structure


def membrane(values: Floats, known: Bits, unknown: Bits, fade: float | None = None) -> Floats:
    """Continue `known` pixels over the `unknown` ones, as smoothly as can be.

    The discrete Laplace equation: each unknown pixel is the mean of those of its four neighbours
    that are known or unknown. Solved directly where there are few; else by conjugate gradients,
    which begin from the solution at half the resolution. Pixels without a connection to a known
    one get 0.

    Parameters
    ----------
    values : ndarray (y, x)
    known, unknown : ndarray of bool (y, x)
    fade : float, optional
        Pixels in which the result fades to 1/e away from the known ones: the screened equation.

    Returns
    -------
    ndarray (y, x)
        0 where a pixel is neither.
    """
    from scipy.ndimage import label
    from scipy.sparse import identity
    from scipy.sparse.linalg import cg, spsolve

    parts, count = label(known | unknown)
    reached = np.zeros(count + 1, bool)
    reached[parts[known]] = True
    unknown = unknown & reached[parts]
    result: Floats = np.where(known, values, 0.0)
    if not unknown.any():
        return result
    matrix, right = _laplace(result, known, unknown)
    if fade is not None:
        matrix = matrix + identity(len(right)) / fade**2
    if len(right) <= _DIRECT:
        result[unknown] = spsolve(matrix.tocsc(), right)
        return result
    start = None if fade is not None else _from_half(result, known, unknown)[unknown]
    solution, _ = cg(matrix.tocsr(), right, x0=start, rtol=_TOLERANCE, maxiter=_ROUNDS)
    result[unknown] = solution
    return result


def _laplace(values: Floats, known: Bits, unknown: Bits) -> tuple[Any, Floats]:
    """Matrix and right side: number of neighbours x pixel - unknown neighbours = known ones."""
    from scipy.sparse import coo_matrix

    count = int(unknown.sum())
    number = np.full(unknown.shape, -1)
    number[unknown] = np.arange(count)
    degree, right = np.zeros(count), np.zeros(count)
    rows, columns = [], []
    for axis in (0, 1):
        for step in (-1, 1):
            here, there = _shifted(axis, step)
            mine, other, fixed = number[here], number[there], known[there]
            inside = (mine >= 0) & (other >= 0)
            border = (mine >= 0) & fixed
            rows.append(mine[inside])
            columns.append(other[inside])
            # a pixel has one neighbour in a direction: no index comes twice
            degree[mine[inside]] += 1
            degree[mine[border]] += 1
            right[mine[border]] += values[there][border]
    own = np.arange(count)
    i, j = np.concatenate([*rows, own]), np.concatenate([*columns, own])
    entries = np.concatenate([np.full(len(i) - count, -1.0), degree])
    return coo_matrix((entries, (i, j)), (count, count)).tocsr(), right


def _shifted(axis: int, step: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Index of pixels that have a neighbour `step` along an axis, and index of those neighbours."""
    first, last = slice(None, -1), slice(1, None)
    here, there = [slice(None)] * 2, [slice(None)] * 2
    here[axis], there[axis] = (first, last) if step > 0 else (last, first)
    return (here[0], here[1]), (there[0], there[1])


def _from_half(values: Floats, known: Bits, unknown: Bits) -> Floats:
    """The solution at half the resolution, each of its pixels as 2 x 2."""
    height, width = values.shape
    odd = ((0, height % 2), (0, width % 2))

    def squares(image: NDArray[Any]) -> Floats:
        padded = np.pad(image.astype(float), odd)
        sums: Floats = padded.reshape(padded.shape[0] // 2, 2, padded.shape[1] // 2, 2).sum((1, 3))
        return sums

    weight = squares(known)
    some = weight > 0
    mean = np.where(some, squares(np.where(known, values, 0)) / np.maximum(weight, 1), 0)
    half = membrane(mean, some, (squares(unknown) > 0) & ~some)
    return np.repeat(np.repeat(half, 2, 0), 2, 1)[:height, :width]
