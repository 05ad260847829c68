"""What models are compared with in `regimes.py`, with scores that are kept from run to run."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import astuple
from functools import cache
from pathlib import Path

import numpy as np
import torch
from regime_rows import Row
from rife import RifeModel
from scipy.ndimage import gaussian_filter
from unet import load_unet

from tsain_core.evaluation.leave_one_out import evaluate
from tsain_core.evaluation.metrics import Scores, mean_scores
from tsain_core.inference.models import BASELINES, BaselineModel, SliceModel

#: The U-Net that was trained for the comparison; `unet.md` says how.
UNET = Path(__file__).with_name("unet.safetensors")


def open_peers(extra: Sequence[str] = (), device: str = "cpu") -> list[SliceModel]:
    """The baselines, plain and blurred by 1 and 2 pixels, and further ones.

    Each of `extra` is "rife", "unet" (`unet.safetensors` beside this file), or another file that
    `unet.py` wrote.
    """
    peers: list[SliceModel] = [BaselineModel(name) for name in BASELINES]
    for name in extra:
        if name == "rife":
            peers.append(RifeModel(torch.device(device)))
        else:
            peers.append(load_unet(UNET if name == "unet" else Path(name)))
    return peers


class PeerScores:
    """Scores of peers, kept in a JSON file.

    A score is found again by the grey values of the row, its crop, the slice, the peer, and by
    what the code computes on a test image.

    Parameters
    ----------
    path : Path
        The file; it is made when the first scores are kept.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        text = path.read_text() if path.is_file() else "{}"
        self._kept: dict[str, dict[str, list[float]]] = json.loads(text)

    def mean(self, row: Row, peer: SliceModel) -> Scores:
        """Mean scores of a peer on the slices of a row; only what is missing is computed."""
        kept = self._kept.setdefault(f"{row.digest} {_behaviour()} {peer.name}", {})
        missing = [z for z in row.slices if str(z) not in kept]
        if missing:
            for result in evaluate(row.stack, [peer], row.crop, slices=missing):
                kept[str(result.z)] = list(astuple(result.scores))
            self._save()
        return mean_scores([Scores(*kept[str(z)]) for z in row.slices])

    def _save(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        partial = self._path.with_name(f".{self._path.name}.partial-{os.getpid()}")
        partial.write_text(json.dumps(self._kept))
        partial.replace(self._path)


@cache
def _behaviour() -> str:
    """Identifies what baselines and scores compute, on a small stack that is always the same."""
    noise = np.random.default_rng(0).normal(size=(3, 64, 64))
    smooth = gaussian_filter(noise, (1, 2, 2))
    stack = np.clip(np.rint(128 + 600 * smooth), 0, 255).astype(np.uint8)
    models = [BaselineModel(name) for name in BASELINES]
    scores = [astuple(result.scores) for result in evaluate(stack, models)]
    return hashlib.sha256(np.round(scores, 3).tobytes()).hexdigest()[:8]
