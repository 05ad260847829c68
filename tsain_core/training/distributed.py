"""Training on several devices: a process each, started by torchrun, with the same weights in all.

Each process computes its share of every batch; gradients are averaged by torch's
DistributedDataParallel. What decides about the run (loss, exploded offsets) is agreed upon, so that
all of them skip or go back together.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn

from ..errors import TsainError


@dataclass(frozen=True)
class Ranks:
    """This process among those that train together; alone by default."""

    rank: int = 0
    count: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes files and shows progress."""
        return self.rank == 0

    def share(self, batch: Tensor) -> Tensor:
        """This process's part of a batch.

        Raises
        ------
        TsainError
            If the batch cannot be cut into equal parts.
        """
        if len(batch) % self.count:
            raise TsainError(
                f"A batch of {len(batch)} cannot be shared evenly by {self.count} processes; "
                "choose a batch that is a multiple of it."
            )
        return batch[self.rank :: self.count]

    def wrap(self, network: nn.Module, device: torch.device) -> nn.Module:
        """The network to call in training: one whose gradients are averaged over processes."""
        if self.count == 1:
            return network
        ids = [device] if device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(network, device_ids=ids)

    def mean(self, value: Tensor) -> Tensor:
        """Mean of a scalar over processes."""
        if self.count == 1:
            return value
        total = value.detach().clone()
        distributed.all_reduce(total)
        return total / self.count

    def any(self, flag: bool, device: torch.device) -> bool:
        """Whether a flag is set in any process."""
        if self.count == 1:
            return flag
        flags = torch.tensor(float(flag), device=device)
        distributed.all_reduce(flags)
        return bool(flags > 0)


ALONE = Ranks()


@contextmanager
def join(device: torch.device) -> Iterator[tuple[Ranks, torch.device]]:
    """The processes that torchrun started, and the device of this one; alone without torchrun."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield ALONE, device
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Ranks(distributed.get_rank(), distributed.get_world_size()), device
    finally:
        distributed.destroy_process_group()
