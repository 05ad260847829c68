"""Training recipes: a TOML file that says on what and how, so that a run can be repeated."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import TsainError
from ..inference.intensity import Scaling, estimate_range
from ..network import PRESETS
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
class VolumeEntry:
    """A `[[volume]]` table: a stack and how triplets are taken from it."""

    path: str
    licence: str
    dataset: str | None
    axes: tuple[int, ...]
    spacings: tuple[int, ...]
    weight: float
    augmentation: Augmentation
    specify_histograms: bool
    screening: Screening | None
    triplets: bool
    equalise: bool
    regimes: Regimes | None
    grid: int

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
class Recipe:
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
        recipe = Recipe(
            name=values.pop("name"),
            preset=values.pop("preset"),
            licence=values.pop("licence"),
            held_out=float(values.pop("held_out", 0.1)),
            settings=_settings(values.pop("training", {}), values.pop("loss", {})),
            volumes=_volumes(values.pop("volume"), values.pop("regimes", None)),
            intensity_range=_range(values.pop("intensity_range", None)),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise TsainError(
            f"{path.name} has a wrong or missing entry ({error}); compare it with a recipe that "
            "comes with napari-tsain."
        ) from error
    if not recipe.volumes:
        raise TsainError(f"{path.name} names no volume; expected a [[volume]] table for each.")
    if values or recipe.preset not in PRESETS:
        wrong = next(iter(values), recipe.preset)
        raise TsainError(f"{path.name} has the unknown entry or preset {wrong!r}.")
    return recipe


def _range(values: Sequence[float] | None) -> tuple[float, float] | None:
    if values is None:
        return None
    low, high = (float(v) for v in values)
    if not low < high:
        raise ValueError(f"intensity_range is {values}, low before high is required")
    return low, high


def _settings(training: dict[str, Any], loss: dict[str, Any]) -> TrainingSettings:
    settings: TrainingSettings = _checked(TrainingSettings(**training))
    preset = LOSSES[loss.pop("preset")] if "preset" in loss else LossSettings()
    return replace(settings, loss=_checked(replace(preset, **loss)))


def _checked(settings: Any) -> Any:
    """Settings read from a file, whose values are of the kinds of the defaults."""
    default = type(settings)()
    for name in (f.name for f in fields(settings)):
        value, usual = getattr(settings, name), getattr(default, name)
        kinds = int | float if isinstance(usual, float) else type(usual)
        if not isinstance(value, kinds) or isinstance(value, bool) != isinstance(usual, bool):
            raise TypeError(f"{name} is {value!r}, expected a value like {usual!r}")
    return settings


def _volumes(
    tables: list[dict[str, Any]], common: dict[str, Any] | None
) -> tuple[VolumeEntry, ...]:
    """Entries; `[regimes]` holds for all volumes, each may change some of its ranges."""
    entries = []
    for table in tables:
        own = table.pop("regimes", None)
        regimes = None
        if common is not None or own is not None:
            values = {**(common or {}), **(own or {})}
            regimes = Regimes(**{k: _pair(v) for k, v in values.items()})
        entries.append(replace(_volume(table), regimes=_checked(regimes) if regimes else None))
    return tuple(entries)


def _pair(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _volume(values: dict[str, Any]) -> VolumeEntry:
    augmentation = dict(values.pop("augmentation", {}))
    if "noise" in augmentation:
        augmentation["noise"] = tuple(augmentation["noise"])

    screening = values.pop("screening", None)

    def take(key: str, default: Any, convert: Callable[[Any], Any]) -> Any:
        return convert(values.pop(key, default))

    entry = VolumeEntry(
        path=values.pop("path"),
        licence=values.pop("licence"),
        dataset=values.pop("dataset", None),
        axes=take("axes", (0,), _ints),
        spacings=take("spacings", (1,), _ints),
        weight=take("weight", 1.0, float),
        augmentation=_checked(Augmentation(**augmentation)),
        specify_histograms=bool(values.pop("specify_histograms", False)),
        screening=None if screening is None else _checked(Screening(**screening)),
        triplets=bool(values.pop("triplets", False)),
        equalise=bool(values.pop("equalise", False)),
        regimes=None,
        grid=take("grid", 0, int),
    )
    if values:
        raise TypeError(f"unknown entry {next(iter(values))!r} of volume {entry.path}")
    if entry.triplets and (entry.axes, entry.spacings) != ((0,), (1,)):
        raise ValueError(f"triplets of {entry.path} are ready made: leave out axes and spacings")
    if not {0, 1, 2} >= {*entry.axes} > set() or min(entry.spacings) < 1 or entry.weight < 0:
        raise ValueError(
            f"volume {entry.path} needs axes of 0, 1, 2, spacings from 1 and a weight from 0"
        )
    return entry


def _ints(values: Iterable[Any]) -> tuple[int, ...]:
    return tuple(int(v) for v in values)
