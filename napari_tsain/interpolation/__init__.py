"""The dock that interpolates slices."""

import os

# As the command line does, and before torch is imported: threads that wait do not spin, which
# leaves the processor to the gathering threads, and here to the viewer.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from ._widget import InterpolateSlices  # noqa: E402

__all__ = ["InterpolateSlices"]
