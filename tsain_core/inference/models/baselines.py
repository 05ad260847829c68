"""Interpolation without learning, to compare with and to fall back on.

Images are (y, x), float32, in [0, 1]; `fraction` is the position between the slices, 0 to 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]


def mean_of_neighbours(before: Image, after: Image, fraction: float = 0.5) -> Image:
    """The two slices, weighted by how near they are."""
    return np.float32(1 - fraction) * before + np.float32(fraction) * after


def optical_flow(before: Image, after: Image, fraction: float = 0.5) -> Image:
    """Both slices, warped along DIS optical flow to the position, weighted by how near they are.

    Dense inverse search (Kroeger et al. 2016) as in OpenCV, preset FAST, both ways. Each slice is
    fetched along its share of the flow that leads from the other one to it.
    """
    if min(before.shape) < 16:  # smaller than the coarsest patches of the flow
        return mean_of_neighbours(before, after, fraction)
    forward, backward = dis_flow(before, after), dis_flow(after, before)
    moved_before = warped(before, backward, fraction)
    moved_after = warped(after, forward, 1 - fraction)
    return mean_of_neighbours(moved_before, moved_after, fraction)


def dis_flow(source: Image, target: Image, preset: str = "FAST") -> NDArray[np.float32]:
    """DIS optical flow (dx, dy) of each pixel from one slice to another, (y, x, 2).

    `preset` is OpenCV's: ULTRAFAST, FAST or MEDIUM.
    """
    import cv2

    grey = [np.clip(np.rint(image * 255), 0, 255).astype(np.uint8) for image in (source, target)]
    dis = cv2.DISOpticalFlow_create(  # type: ignore[attr-defined]  # not in its stubs
        getattr(cv2, f"DISOPTICAL_FLOW_PRESET_{preset}")
    )
    flow: NDArray[np.float32] = dis.calc(*grey, None)
    return flow


def warped(image: Image, flow: NDArray[np.float32], share: float) -> Image:
    """Fetch each pixel from `share` of the flow away, bilinear; the edge is continued."""
    import cv2

    height, width = image.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    at = x + np.float32(share) * flow[..., 0], y + np.float32(share) * flow[..., 1]
    warped = cv2.remap(
        image.astype(np.float32), *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return warped.astype(np.float32, copy=False)


def blurred(image: Image, sigma: float) -> Image:
    """Gaussian blur, `sigma` in pixels."""
    from scipy.ndimage import gaussian_filter

    result: Image = gaussian_filter(image.astype(np.float32), sigma)
    return result
