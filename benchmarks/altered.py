"""Are mixed slices still no worse where a stack was recorded or stored in another way?

    python benchmarks/altered.py --data FOLDER [--changes "upsampled 2" inverted]

The central 320 x 320 pixels of up to 24 slices of the validation stacks, and of FIB-25's held-out
end at spacings 1 and 4, are changed: low contrast, inverted, another gamma, clipped, upsampled,
compressed, filtered, noisy, every slice shifted by itself, brightness that jumps. Of each, up to
four slices are left out and scored (central 256 x 256 pixels), as in `regimes.py`: margins of the
model, and of it mixed with the mean, over the best of mean, optical flow, and both blurred.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the command line sets it

from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import cv2  # noqa: E402
import numpy as np  # noqa: E402
from common import add_data_option, difference, print_head, print_row  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from peers import PeerScores, open_peers  # noqa: E402
from regime_rows import Row, rows  # noqa: E402
from regimes import beside_best, open_models, score_row  # noqa: E402

from tsain_core.evaluation.leave_one_out import central, spread_slices  # noqa: E402
from tsain_core.evaluation.metrics import Scores  # noqa: E402
from tsain_core.stack_check import mixed_name  # noqa: E402

Stack = NDArray[np.uint8]
_LEFT_OUT = ("spacing 2", "spacing 8", "binned")  # parts of names of rows
_SIDE, _DEPTH, _TRIPLETS, _CROP = 320, 24, 4, 256
_COLUMNS = ("psnr", "structure", "ssim")


def main() -> None:
    """Change, score, print."""
    args = _arguments()
    models, peers, kept = open_models(args.models), open_peers([]), PeerScores(args.cache)
    shown = [name for model in models for name in (model, mixed_name(model))]
    print_head("stack", "change", *(f"{name}: PSNR / structure / SSIM" for name in shown))
    margins: dict[str, list[list[float]]] = {name: [] for name in shown}
    for row in rows(args.data):
        if any(text in row.name for text in _LEFT_OUT):
            continue
        stack = row.stack[:_DEPTH][:, *central(row.stack.shape[1:], _SIDE)]
        for number, (change, changed) in enumerate(CHANGES.items()):
            if args.changes and change not in args.changes:
                continue
            new = changed(stack, np.random.default_rng(number))
            altered = Row(row.name, new, spread_slices(len(new), _TRIPLETS), _CROP)
            scores = {peer.name: kept.mean(altered, peer) for peer in peers}
            others = list(scores)
            for name, model in models.items():
                scores |= score_row(altered, name, model, mix=True, detail=0)
            for name in shown:
                margins[name].append([_margin(scores, name, others, c) for c in _COLUMNS])
            print_row(row.name, change, *(difference(*margins[name][-1]) for name in shown))
    for what, of in (("mean", np.mean), ("worst", np.min)):
        print_row(what, "", *(difference(*of(margins[name], axis=0)) for name in shown))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_data_option(parser)
    parser.add_argument("--models", nargs="+", default=["tsain-lite"])
    parser.add_argument("--changes", nargs="*", choices=[*CHANGES], help="all, if not given")
    parser.add_argument("--cache", type=Path, default=Path("runs/altered-peers.json"))
    return parser.parse_args()


def _margin(scores: dict[str, Scores], model: str, peers: list[str], column: str) -> float:
    value, best, _ = beside_best(scores, model, peers, column)
    return value - best


def _uint8(values: NDArray[Any]) -> Stack:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _regraded(stack: Stack, gain: float, level: float) -> Stack:
    """Contrast times `gain` round grey 128, which becomes `level`."""
    return _uint8((stack.astype(np.float32) - 128) * gain + level)


def _each(change: Callable[[Stack], NDArray[Any]]) -> Callable[[Stack, Any], Stack]:
    return lambda stack, _: np.stack([change(image) for image in stack]).astype(np.uint8)


def _jpeg(image: Stack) -> NDArray[Any]:
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 40])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE))


def _upsampled(image: Stack) -> NDArray[Any]:
    return np.asarray(cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC))


def _shifted(stack: Stack, rng: np.random.Generator) -> Stack:
    moved = []
    for image in stack:
        dx, dy = rng.uniform(-4, 4, 2)
        by = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
        size, how = image.shape[::-1], cv2.INTER_CUBIC
        moved.append(cv2.warpAffine(image, by, size, flags=how, borderMode=cv2.BORDER_REFLECT))
    return np.stack(moved).astype(np.uint8)


def _jumping(stack: Stack, rng: np.random.Generator) -> Stack:
    gains, levels = np.exp(rng.uniform(-0.4, 0.4, len(stack))), rng.uniform(88, 168, len(stack))
    return np.stack([_regraded(i, g, v) for i, g, v in zip(stack, gains, levels, strict=True)])


CHANGES: dict[str, Callable[[Stack, np.random.Generator], Stack]] = {
    "low contrast": lambda stack, _: _regraded(stack, 0.16, 110),
    "inverted": lambda stack, _: 255 - stack,
    "gamma 2.2": lambda stack, _: _uint8(255 * (stack / 255) ** 2.2),
    "dark, clipped": lambda stack, _: _regraded(stack, 1.6, 60),
    "upsampled 2": _each(_upsampled),
    "jpeg 40": _each(_jpeg),
    "median 3": _each(lambda image: np.asarray(cv2.medianBlur(image, 3))),
    "noise 30": lambda stack, rng: _uint8(stack + rng.normal(0, 30, stack.shape)),
    "shifted 4": _shifted,
    "jumping": _jumping,
}


if __name__ == "__main__":
    main()
