"""What fine-tuning gives: learn on the first slices of a stack, score on its last ones.

    python benchmarks/finetuning.py STACK --learn 20 --score 10 --minutes 20

Fine-tuning is what the dock and `tsain finetune` do, with no settings but the time; of the slices
that it is given it keeps some to stop and to judge by. The last slices it never sees: they are
scored as `tsain evaluate` does, beside the start, the mean of neighbours and optical flow. Minutes
are of processor time, of all cores together.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import tifffile
import torch
from common import hardware

from tsain_core.evaluation.leave_one_out import evaluate, mean_by_model, score_table
from tsain_core.finetuning.finetune import FinetuneSettings, FineTuningStarted, Verdict, finetune
from tsain_core.inference.models import BaselineModel, NetworkModel, model_files
from tsain_core.model_files.checkpoint import load
from tsain_core.training import TrainingProgress
from tsain_core.volumes import open_volume


def main() -> None:
    """Fine-tune and print scores."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stack", type=Path)
    parser.add_argument("--model", default="tsain-lite")
    parser.add_argument("--learn", type=int, default=20, help="first slices, to fine-tune on")
    parser.add_argument("--score", type=int, default=10, help="last slices, to score on")
    parser.add_argument("--minutes", type=float, default=20.0, help="of processor time")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    volume = open_volume(args.stack)
    depth = volume.shape[0]
    if args.learn + args.score > depth:
        parser.error(f"the stack has {depth} slices only")
    stack = np.asarray(volume.data)
    network, info = load(model_files()[args.model])
    settings = FinetuneSettings(minutes=args.minutes / torch.get_num_threads(), seed=args.seed)
    started = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "first.tif"
        tifffile.imwrite(path, stack[: args.learn])
        for event in finetune(open_volume(path), network, info, settings):
            if isinstance(event, FineTuningStarted):
                print(hardware(torch.device("cpu")), f"\n{event.steps} steps fit, {event.blocks}")
            elif isinstance(event, TrainingProgress) and event.validation is not None:
                print(f"step {event.step}: held-out {event.validation:.3f} dB", flush=True)
    assert isinstance(event, Verdict)
    minutes = (time.process_time() - started) / 60
    print(f"{minutes:.1f} minutes of processor time; best after {event.steps} steps")
    print(event.sentence(), "\n")
    models = [
        NetworkModel(net, replace(info, name=name), torch.device("cpu"))
        for name, net in ((args.model, network), ("fine-tuned", event.network))
    ]
    baselines = [BaselineModel("mean"), BaselineModel("optical-flow")]
    scores = mean_by_model(evaluate(stack[-args.score :], [*models, *baselines]))
    print(f"{args.score - 2} triplets of the last {args.score} slices, none of them learnt from:")
    print(score_table(scores))
    before, after = scores[args.model], scores["fine-tuned"]
    psnr, structure = after.psnr - before.psnr, after.structure - before.structure
    ssim = after.ssim - before.ssim
    print(f"\nGain: {psnr:+.2f} dB PSNR, {structure:+.2f} dB structure, {ssim:+.3f} SSIM")


if __name__ == "__main__":
    main()
