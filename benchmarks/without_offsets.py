"""What the offsets of trained weights are worth: the same weights with their offsets taken away.

    python benchmarks/without_offsets.py --data FOLDER --model tsain-lite

For the rows of `regimes.py` that are not binned: scores of the model as it is, and by how much they
change where deformable convolutions sample like ordinary ones (offsets of 0), in all of the network
or in one of its parts; or where each offset is its mean over the slice, so that what is sampled
does not depend on what lies there. The weights were trained with their offsets, and nothing is
trained again: what a network without them could learn is a question for `ablation.py`.
"""

from __future__ import annotations

import argparse
import copy
import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the command line sets it

from typing import Any  # noqa: E402

import torch.nn.functional as F  # noqa: E402
from common import add_data_option, difference, print_head, print_row  # noqa: E402
from regime_rows import rows  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from unet import PlainModel  # noqa: E402

from tsain_core.evaluation.leave_one_out import evaluate, mean_by_model  # noqa: E402
from tsain_core.inference.models import model_files  # noqa: E402
from tsain_core.model_files.checkpoint import load  # noqa: E402
from tsain_core.network import TSAIN, AdaptiveSampling, Sampling  # noqa: E402

#: Name -> how the modules begin that are changed, and what share of its mean each offset becomes.
_CHANGES = {
    "all their mean": ("", 1.0),
    "all 0": ("", 0.0),
    "towers 0": ("temporal", 0.0),
    "RSABs 0": ("rsabs", 0.0),
    "DRBs 0": ("drbs", 0.0),
}


def main() -> None:
    """Print a line for each row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_data_option(parser)
    parser.add_argument("--model", default="tsain-lite")
    parser.add_argument("--triplets", type=int, default=4, help="most triplets a row")
    parser.add_argument("--crop", type=int, default=256, help="side in pixels of what is computed")
    args = parser.parse_args()
    network, _ = load(model_files()[args.model])
    models = [PlainModel(Half(network), "as it is")]
    models += [PlainModel(Half(_changed(network, *how)), name) for name, how in _CHANGES.items()]
    print(f"{args.model}: PSNR / structure / SSIM, and their changes\n")
    print_head("row", *(model.name for model in models))
    for row in rows(args.data, (), args.triplets, args.crop):
        if "binned" in row.name:
            continue
        scores = mean_by_model(evaluate(row.stack, models, row.crop, slices=row.slices))
        own = scores["as it is"]
        cells = [f"{own.psnr:.2f} / {own.structure:.2f} / {own.ssim:.3f}"]
        for model in models[1:]:
            s = scores[model.name]
            gains = (s.psnr - own.psnr, s.structure - own.structure, s.ssim - own.ssim)
            cells.append(difference(*gains))
        print_row(row.name, *cells)


class Half(nn.Module):
    """A network half-way between two slices, by the path on which offsets can be changed."""

    def __init__(self, network: TSAIN) -> None:
        super().__init__()
        self.network = network.eval()

    def forward(self, before: Tensor, after: Tensor, at: Tensor) -> Tensor:
        """The slice between two slices (N, 1, H, W); `at` must be 1/2."""
        height, width = before.shape[-2:]
        multiple = self.network.settings.multiple
        border = (0, -width % multiple, 0, -height % multiple)
        padded = (F.pad(image, border, "replicate") for image in (before, after))
        image: Tensor = self.network(*padded, Sampling())
        return image[..., :height, :width]


def _changed(network: TSAIN, part: str, share: float) -> TSAIN:
    """A copy whose offsets, in modules whose names begin so, are a share of their mean."""
    changed = copy.deepcopy(network)
    for name, module in changed.named_modules():
        if isinstance(module, AdaptiveSampling) and name.startswith(part):
            module.offset_conv.register_forward_hook(_hook(module.groups, share))
    return changed


def _hook(groups: int, share: float) -> Any:
    """Puts a share of its mean over the slice in the place of every offset."""

    def change(module: nn.Module, given: Any, parameters: Tensor) -> Tensor:
        offset = parameters[:, : 18 * groups]
        parameters[:, : 18 * groups] = share * offset.mean((2, 3), keepdim=True)
        return parameters

    return change


if __name__ == "__main__":
    main()
