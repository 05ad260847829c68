"""Training recipes: a TOML file that says on what and how, so that a run can be repeated."""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import TsainError
from ..inference.intensity import Scaling, estimate_range
from ..network import PRESETS
from ..system.records import Record
from ..volumes import open_volume
from ..volumes._guard import require_regular
from .augment import Augmentation
from .data import TripletSource
from .losses import LOSSES, LossSettings
from .regimes import Regimes
from .screening import Screening, equalise_slices, specify_histograms
from .settings import TrainingSettings
from .triplet_folder import read_triplets


@dataclass(frozen=True)
class VolumeEntry(Record):
    """A `[[volume]]` table: a stack and how triplets are taken from it."""

    path: str
    licence: str
    dataset: str | None = None
    axes: tuple[int, ...] = (0,)
    spacings: tuple[int, ...] = (1,)
    weight: float = 1.0
    augmentation: Augmentation = Augmentation()
    specify_histograms: bool = False
    screening: Screening | None = None
    triplets: bool = False
    equalise: bool = False
    regimes: Regimes | None = None
    grid: int = 0

    def __post_init__(self) -> None:
        if self.triplets and (self.axes, self.spacings) != ((0,), (1,)):
            raise TsainError(f"triplets of {self.path} are ready made: leave out axes and spacings")
        axes_known = {0, 1, 2} >= {*self.axes} > set()
        if not axes_known or min(self.spacings, default=0) < 1 or self.weight < 0:
            raise TsainError(
                f"volume {self.path} needs axes of 0, 1, 2, spacings from 1 and a weight from 0"
            )

    @property
    def stack(self) -> tuple[str, str | None]:
        """Which slices are meant, however they are taken."""
        return self.path, self.dataset

    def load(self, folder: Path) -> NDArray[Any]:
        """The slices (z, y, x), or triplets one after the other."""
        if self.triplets:
            array = read_triplets(folder / self.path)
        else:
            array = np.asarray(open_volume(folder / self.path, dataset=self.dataset).data)
        if self.equalise:
            array = equalise_slices(array)
        return specify_histograms(array) if self.specify_histograms else array


@dataclass(frozen=True)
class Recipe(Record):
    """A training recipe.

    Attributes
    ----------
    name, preset, licence : str
        Of the model that comes out.
    held_out : float
        Share of the z slices of each volume kept for validation.
    settings : TrainingSettings
    volumes : tuple of VolumeEntry
    intensity_range : (float, float) or None
        Grey values of uint8 volumes that become 0 and 1, here and for the model; percentiles of
        each volume if not given.
    """

    name: str
    preset: str
    licence: str
    held_out: float
    settings: TrainingSettings
    volumes: tuple[VolumeEntry, ...]
    intensity_range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise TsainError(f"preset is {self.preset!r}; one of {', '.join(PRESETS)} is required")
        if not self.volumes:
            raise TsainError("it names no volume; a [[volume]] table for each is required")
        low, high = self.intensity_range or (0, 1)
        if not low < high:
            raise TsainError(f"intensity_range is {low:g} to {high:g}; low before high is required")

    def load_sources(self, folder: Path) -> list[tuple[TripletSource, TripletSource]]:
        """(training, held-out) part of each entry; paths are relative to `folder`.

        Entries of one stack hold out the same slices, so that none learns what another validates;
        those with large spacings may have no triplet in them.

        Raises
        ------
        TsainError
            If a volume cannot be read or is too thin.
        """
        sources = [self._source(entry, folder) for entry in self.volumes]
        held: dict[tuple[str, str | None], int] = {}
        for entry, source in zip(self.volumes, sources, strict=True):
            depth = source.held_depth(self.held_out)
            held[entry.stack] = min(depth, held.get(entry.stack, depth))
        pairs = zip(self.volumes, sources, strict=True)
        return [source.split_off(held[entry.stack]) for entry, source in pairs]

    def _source(self, entry: VolumeEntry, folder: Path) -> TripletSource:
        array = entry.load(folder)
        return TripletSource(
            array,
            estimate_range(array, Scaling(fixed=self.intensity_range)),
            entry.axes,
            entry.spacings,
            entry.weight,
            entry.augmentation,
            entry.screening,
            entry.triplets,
            entry.regimes,
            grid=entry.grid,
        )

    def provenance(self) -> dict[str, Any]:
        """What a model card must say of the data."""
        return {
            "volumes": [
                {
                    "file": Path(v.path).name,
                    "licence": v.licence,
                    "axes": list(v.axes),
                    "spacings": list(v.spacings),
                    "weight": v.weight,
                    **({"equalised": True} if v.equalise else {}),
                    **({"regimes": asdict(v.regimes)} if v.regimes else {}),
                }
                for v in self.volumes
            ],
            "held_out": self.held_out,
            "batch": self.settings.batch,
            "crop": self.settings.crop,
            "lr": self.settings.lr,
            "seed": self.settings.seed,
            "loss": {f.name: getattr(self.settings.loss, f.name) for f in fields(LossSettings)},
        }


def read_recipe(path: Path) -> Recipe:
    """Read a recipe.

    Raises
    ------
    TsainError
        If the file is missing, no TOML, or has an unknown or missing entry.
    """
    require_regular(path)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TsainError(f"No training recipe can be read at {path}: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TsainError(f"{path.name} is no TOML file: {error}.") from error
    try:
        return Recipe.from_json(_as_fields(values))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise TsainError(
            f"{path.name} has a wrong or missing entry ({_in_file(error)}); compare it with a "
            "recipe that comes with napari-tsain."
        ) from error


def _as_fields(values: dict[str, Any]) -> dict[str, Any]:
    """The tables of the file as the fields of a recipe."""
    loss = values.pop("loss", {})
    if isinstance(loss, dict) and "preset" in loss:
        loss = {**LOSSES[loss.pop("preset")].to_json(), **loss}
    return {
        "held_out": 0.1,
        "settings": {"loss": loss, **values.pop("training", {})},
        "volumes": _with_common(values.pop("volume"), values.pop("regimes", None)),
        **values,
    }


def _with_common(tables: Any, common: Any) -> Any:
    """Volumes; `[regimes]` holds for all of them, each may change some of its ranges."""
    if common is None or not isinstance(tables, list):
        return tables
    return [{**table, "regimes": {**common, **table.get("regimes", {})}} for table in tables]


def _in_file(error: Exception) -> str:
    """An error in the words of the file, whose tables have other names than the fields."""
    text = f"{error} is missing" if isinstance(error, KeyError) else str(error)
    names = {"settings.loss": "loss", "settings": "training", "volumes": "volume"}
    field = next((name for name in names if text.startswith(name)), "")
    return names.get(field, "") + text.removeprefix(field)
