"""The dock that shows where the network sampled."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as in `napari_tsain.interpolation`

from ._widget import SamplingOffsets  # noqa: E402

__all__ = ["SamplingOffsets"]
