"""A network as a slice model: padding, tiles, features kept from pair to pair."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Hashable, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from ...errors import TsainError
from ...model_files.checkpoint import ModelInfo
from ...network import TSAIN, Features, Sampling
from ..cost import peak_bytes, receptive_radius
from ..ensemble import DihedralTransform, View, turns, views
from ..intensity import Scaling
from ..region import Region, ceil_to
from ..slice_model import Image, Keys, TileDone
from ..tiles import Tile, tile_image
from ._execution import Execution
from ._feature_cache import FeatureCache, values_key
from ._halo import HaloTrial
from .device import automatic_precision, free_memory
from .settings import InferenceSettings

logger = logging.getLogger(__name__)

_SMALLEST_TILE = 64
_LARGEST_TILE = 4096
_MEMORY_SHARE = 0.4  # of the free memory that a forward pass may take
_LEVELS = 1.35  # features of all levels of the network's pyramid over those of the finest
_FEATURE_SHARE = 0.2  # of the free memory for features kept for the next pair

Pair = tuple[Image, Image]


class NetworkModel:
    """Runs a network on slices of any size.

    Features of a slice serve both its pairs: those of the latest slices are kept, as far as memory
    allows. If device memory runs out the tile is halved and the slice is computed again.

    Parameters
    ----------
    network : TSAIN
    info : ModelInfo
    device : torch.device
    settings : InferenceSettings
    """

    def __init__(
        self,
        network: TSAIN,
        info: ModelInfo,
        device: torch.device,
        settings: InferenceSettings = InferenceSettings(),
    ) -> None:
        self.network = network.to(device).to(memory_format=torch.channels_last).eval()
        self.info, self.device, self.settings = info, device, settings
        self.precision = automatic_precision(device, settings.precision)
        self.tile, self.halo = settings.tile, settings.halo
        self.mix_shares, self.detail = settings.mix_shares, settings.detail
        self.brightness_slices = settings.brightness_slices
        self._transforms = views(settings.ensemble)
        self._execution = Execution(self.network, device, self.precision, settings.compile)
        share = int(free_memory(device) * _FEATURE_SHARE)
        self._kept = FeatureCache(settings.feature_memory or share)

    @property
    def name(self) -> str:
        """Name of the weights."""
        return self.info.name

    @property
    def any_position(self) -> bool:
        """See `SliceModel.any_position`."""
        return self.network.settings.positions

    @property
    def scaling(self) -> Scaling:
        """See `SliceModel.scaling`."""
        return self.info.scaling

    def with_tiles(
        self, tile: int | None, halo: int | None, feature_memory: int | None
    ) -> NetworkModel:
        """See `TiledModel.with_tiles`; the network is the same one."""
        settings = replace(
            self.settings,
            tile=tile,
            halo=halo,
            precision=self.precision,
            feature_memory=feature_memory,
        )
        return NetworkModel(self.network, self.info, self.device, settings)

    @property
    def tiled(self) -> NetworkModel:
        """See `SliceModel.tiled`."""
        return self

    @property
    def pointwise(self) -> bool:
        """See `SliceModel.pointwise`."""
        return False

    @property
    def execution(self) -> str:
        """See `SliceModel.execution`."""
        return f"{self.device}, {self.precision}"

    @property
    def multiple(self) -> int:
        """See `TiledModel.multiple`."""
        return self.network.settings.multiple

    def pass_bytes(self, height: int, width: int) -> int:
        """See `TiledModel.pass_bytes`."""
        return peak_bytes(self.network.settings, height, width, self.precision == "bf16")

    def feature_bytes(self, pixels: int) -> int:
        """See `TiledModel.feature_bytes`."""
        settings, kept = self.network.settings, turns(self.settings.ensemble)
        return int(kept * _LEVELS * pixels / settings.unshuffle**2 * settings.channels * 4)

    def provenance(self) -> dict[str, object]:
        """See `SliceModel.provenance`."""
        return {
            "model": self.info.name,
            "weights_sha256": self.info.weights_hash,
            "licence": self.info.licence,
            "precision": self.precision,
            **({"mean_shares": list(mix.mean)} if (mix := self.mix_shares) else {}),
            **({"own_shares": list(mix.own)} if mix and any(mix.own) else {}),
            **({"brightness_slices": b} if (b := self.brightness_slices) > 1 else {}),
            **({"detail": self.detail} if self.detail else {}),
            **({"ensemble": len(self._transforms)} if len(self._transforms) > 1 else {}),
        }

    def between(
        self,
        before: Image,
        after: Image,
        fraction: Fraction = Fraction(1, 2),
        keys: Keys | None = None,
    ) -> Generator[TileDone, None, Image]:
        """See `SliceModel.between`.

        Raises
        ------
        TsainError
            If memory does not suffice for the smallest tile.
        ValueError
            If the network computes the middle only and the fraction is another, or the slices
            differ in size.
        """
        if fraction != Fraction(1, 2) and not self.any_position:
            raise ValueError(f"Fraction is {fraction}; the network computes 1/2 only.")
        if before.shape != after.shape:
            raise ValueError(f"Slices are {before.shape} and {after.shape}; they must agree.")
        while True:
            try:
                return (yield from self._compute(before, after, fraction, keys))
            except RuntimeError as error:
                if not _is_out_of_memory(error):
                    raise
            # not in the except clause, where the error's traceback keeps the tensors alive
            self._halve_tile(before.shape)

    def _compute(
        self, before: Image, after: Image, fraction: Fraction, keys: Keys | None
    ) -> Generator[TileDone, None, Image]:
        tiles = self.plan(before, after)
        return (yield from self.compute_tiles(before, after, tiles, fraction, keys))

    def compute_tiles(
        self,
        before: Image,
        after: Image,
        tiles: Sequence[Tile],
        fraction: Fraction = Fraction(1, 2),
        keys: Keys | None = None,
    ) -> Generator[TileDone, None, Image]:
        """The slice between two, or between the same part of both, on some tiles; 0 elsewhere.

        The origin of a part must be a multiple of the network's, and it must end there, too, or at
        the end of the slice.
        """
        multiple = self.network.settings.multiple
        known_by = keys or (values_key(before), values_key(after))
        padded = [pad_to_multiple(image, multiple) for image in (before, after)]
        pair = list(zip(known_by, padded, strict=True))
        out = np.zeros(before.shape, np.float32)
        passes = len(tiles) * len(self._transforms)
        for i, tile in enumerate(tiles):
            result = np.zeros(tile.read.shape, np.float32)
            for j, view in enumerate(self._transforms):
                result += self._run_tile(pair, tile.read, view, float(fraction))
                yield TileDone(i * len(self._transforms) + j + 1, passes)
            result /= len(self._transforms)
            if self.network.settings.residual:
                y, x = tile.read.slices
                result += _weighted_mean(padded[0][y, x], padded[1][y, x], fraction)
            out[tile.write.slices] = result[tile.write.within(tile.read).slices]
        return out

    def plan(self, before: Image, after: Image) -> list[Tile]:
        """Tiles for slices of this size; the first call fixes tile and halo."""
        height, width = before.shape
        if self.tile is None:
            self.tile = self.tile_for_memory()
        if self.halo is None and max(height, width) > self.tile:
            self.halo = self.measure_halo(
                (height, width), lambda region: (before[region.slices], after[region.slices])
            )
            logger.info("Tiles of %d px with a halo of %d px", self.tile, self.halo)
        multiple = self.network.settings.multiple
        return tile_image((height, width), self.tile, self.halo or 0, multiple)

    def tile_for_memory(self) -> int:
        """Side of the largest tiles that the memory allows."""
        budget = free_memory(self.device) * _MEMORY_SHARE
        half = self.precision == "bf16"
        per_pixel = peak_bytes(self.network.settings, 1024, 1024, half) / 1024**2
        side = int((budget / per_pixel) ** 0.5) - 2 * receptive_radius(self.network.settings)
        side = min(max(side, 4 * _SMALLEST_TILE), _LARGEST_TILE)
        return side // self.network.settings.multiple * self.network.settings.multiple

    def measure_halo(self, shape: tuple[int, int], read: Callable[[Region], Pair]) -> int:
        """How far the network looks in a pair of slices, sampling offsets included.

        The receptive radius, and what has to be added so that the middle, and the place whose
        offsets are largest, come out as they do with all of their surroundings.

        Parameters
        ----------
        shape : (height, width)
            Of the slices.
        read : callable
            Region -> that part of both, scaled as for `between`.
        """

        def compute(region: Region, sampling: Sampling | None) -> Tensor:
            with torch.inference_mode(), self.autocast():
                before, after = (self._tensor(image) for image in read(region))
                return self.network(before, after, sampling)[0, 0].float().cpu()

        trial = HaloTrial(compute, shape, self.network.settings)
        least = (self.tile or trial.part) + 2 * receptive_radius(self.network.settings)
        try:
            return trial.measure()
        except RuntimeError as error:
            if least >= trial.part or not _is_out_of_memory(error):
                raise
        return replace(trial, part=least).measure()  # no tile that is read is smaller

    def _run_tile(
        self, pair: Sequence[tuple[Hashable, Image]], read: Region, view: View, at: float
    ) -> Image:
        """What the network predicts for a read region, from (key, padded image) of both."""
        order = reversed(pair) if view.reversed else pair
        before, after = (self._encode(*slice_, read, view.turn) for slice_ in order)
        at = 1 - at if view.reversed else at
        out: Image = self._execution.between(before, after, at).cpu().numpy()[0, 0]
        return view.turn.undo(out)

    def _encode(
        self, key: Hashable, padded: Image, read: Region, turn: DihedralTransform
    ) -> Features:
        features = self._kept.get(key, read, turn)
        if features is None:
            y, x = read.slices
            features = self._execution.encode(self._tensor(turn.apply(padded[y, x])))
            self._kept.put(key, read, turn, features)
        return features

    def _tensor(self, image: Image) -> Tensor:
        contiguous = np.ascontiguousarray(image, dtype=np.float32)
        tensor = torch.from_numpy(contiguous)[None, None]
        if self.device.type == "cuda":  # from pinned memory the copy does not hold up the thread
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor.to(self.device)

    def padded(self, image: Image) -> Image:
        """A slice with its sides made multiples of what the network needs."""
        return pad_to_multiple(image, self.network.settings.multiple)

    def autocast(self) -> torch.autocast:
        """Context of a forward pass of `network`, whose weights are float32, in this precision."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def _halve_tile(self, shape: tuple[int, ...]) -> None:
        assert self.tile is not None
        smaller = ceil_to(min(self.tile, max(shape)) // 2, self.network.settings.multiple)
        if smaller < _SMALLEST_TILE:
            raise TsainError(
                f"Memory of {self.device} does not suffice for tiles of {self.tile} px; close "
                "other programs, or choose another device or a smaller model."
            )
        self.tile = smaller
        self._kept = FeatureCache(self._kept.budget // 2)
        self._execution.reset()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        logger.warning("Out of memory on %s: going on with tiles of %d px", self.device, smaller)


def _weighted_mean(before: Image, after: Image, fraction: Fraction) -> Image:
    """What a residual network adds to; see `TSAIN.base`."""
    if fraction == Fraction(1, 2):
        return np.float32(0.5) * (before + after)
    return before + np.float32(float(fraction)) * (after - before)


def pad_to_multiple(image: Image, multiple: int) -> Image:
    """Reflect at the bottom and right; replicate where a side is too short to reflect."""
    height, width = image.shape
    bottom, right = (ceil_to(n, multiple) - n for n in (height, width))
    if not bottom and not right:
        return image
    mode = "reflect" if bottom < height and right < width else "edge"
    return np.pad(image, ((0, bottom), (0, right)), mode=mode)  # type: ignore[call-overload, no-any-return]


def _is_out_of_memory(error: Exception) -> bool:
    # the CPU allocator raises a plain RuntimeError
    return isinstance(error, torch.OutOfMemoryError) or "not enough memory" in str(error)
