"""Model files: safetensors with everything that is needed to use the weights.

The header of the file holds, as JSON under the key `tsain`, the structure of the network and what
is known of the weights. Nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch

from ..errors import TsainError, first_line, printable
from ..inference.intensity import PERCENTILES, Scaling
from ..network import TSAIN, NetworkSettings
from ..system.atomic import replacing
from ..system.records import Record

_KEY = "tsain"
_VERSION = 1
_GREYEST = 1e9  # of a grey value that becomes 0 or 1
_LONGEST_NAME = 300  # characters
_SHOWN = 60  # of a value in a message


@dataclass(frozen=True)
class ModelInfo(Record):
    """What a model file says about itself.

    Attributes
    ----------
    name : str
        As shown in lists: "tsain-lite".
    preset : str or None
        Preset that the structure was taken from.
    settings : NetworkSettings
    licence : str
        Strictest licence of the data that the weights saw.
    intensity_percentiles : (float, float)
        Percentiles of a volume's grey values that the weights expect at 0 and 1.
    intensity_range : (float, float) or None
        Grey values that they expect at 0 and 1 in volumes of uint8, instead of the percentiles.
    training : dict
        Provenance: data, steps, losses, time.
    scores : dict
        Stack name -> metric -> value.
    weights_hash : str
        First 16 hexadecimal digits of the file's SHA-256; empty before it is saved.
    """

    name: str
    settings: NetworkSettings
    preset: str | None = None
    licence: str = "unknown"
    intensity_percentiles: tuple[float, float] = PERCENTILES
    intensity_range: tuple[float, float] | None = None
    training: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    weights_hash: str = ""

    #: newer versions may say more of a model
    __pydantic_config__: ClassVar[dict[str, Any]] = {
        **Record.__pydantic_config__,
        "extra": "ignore",
        "allow_inf_nan": True,
    }

    def __post_init__(self) -> None:
        for name in ("name", "licence"):
            text = getattr(self, name)
            if not 0 < len(text) <= _LONGEST_NAME:
                raise TsainError(
                    f"The {name} of the model is {text[:_SHOWN]!r}; 1 to {_LONGEST_NAME} "
                    "characters are required."
                )
        low, high = self.intensity_percentiles
        if not 0 <= low < high <= 100:
            raise TsainError(
                f"intensity_percentiles are {low:g} and {high:g}; two from 0 to 100, low before "
                "high, are required."
            )
        if self.intensity_range is not None:
            low, high = self.intensity_range
            if not -_GREYEST < low < high < _GREYEST:
                raise TsainError(
                    f"intensity_range is {low:g} to {high:g}; two grey values, low before high, "
                    "are required."
                )

    @property
    def scaling(self) -> Scaling:
        """Which grey values of a volume become 0 and 1."""
        return Scaling(self.intensity_percentiles, self.intensity_range)


def save(path: str | os.PathLike[str], network: TSAIN, info: ModelInfo, half: bool = False) -> None:
    """Write a model file; it appears under its name only when it is complete.

    Parameters
    ----------
    path : path, ends in `.safetensors`
    network : TSAIN
    info : ModelInfo
        `weights_hash` is not written: it is that of the file.
    half : bool
        Store float16, which halves the file; `load` returns float32 again.
    """
    from safetensors.torch import save as to_bytes

    path = Path(path)
    dtype = torch.float16 if half else torch.float32
    tensors = {k: v.detach().cpu().to(dtype).contiguous() for k, v in network.state_dict().items()}
    header = info.to_json()
    del header["weights_hash"]
    header["version"] = _VERSION
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        # safetensors' own writer makes files that only their owner may read
        partial.write_bytes(to_bytes(tensors, metadata={_KEY: json.dumps(header)}))


def read_info(path: str | os.PathLike[str]) -> ModelInfo:
    """What a model file says about itself, without loading its weights.

    Raises
    ------
    TsainError
        If the file is missing, no safetensors file, or not one of ours.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not os.path.isfile(path):  # also for names that no file can have
        raise TsainError(
            f"No model file at {str(path)[:_SHOWN]}; `tsain models` lists those that are installed."
        )
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = len(file.keys())
    except (SafetensorError, OSError) as error:
        raise TsainError(
            f"{path.name} is no safetensors file ({first_line(error)}); expected a TSAIN model "
            "file. Checkpoints of the authors' code go through `tsain convert` first."
        ) from error
    try:
        return _parse(path, metadata.get(_KEY), tensors)
    except OSError as error:
        raise TsainError(f"{path} cannot be read: {first_line(error)}.") from error


def _parse(path: Path, header: str | None, tensors: int) -> ModelInfo:
    if header is None:
        raise TsainError(
            f"{path.name} holds tensors but no TSAIN settings; expected a file written by "
            "`tsain train` or `tsain convert`."
        )
    try:
        values = json.loads(header)
        version = values.pop("version")
        if version != _VERSION:
            raise TsainError(
                f"{path.name} is in format {version}, this version reads {_VERSION}; "
                "update napari-tsain."
            )
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()[:16]
        info = ModelInfo.from_json({**_printable(values), "weights_hash": digest})
        _check_blocks(info.settings, tensors)
        return info
    except TsainError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise _not_understood(path, error) from error


def _check_blocks(settings: NetworkSettings, tensors: int) -> None:
    """Refuse settings that no network of so many tensors has, before one is built of them."""
    blocks = (
        settings.feature_blocks,
        settings.reconstruction_blocks,
        settings.rsabs,
        settings.drbs,
    )
    if sum(blocks) > tensors:  # each has at least one
        raise ValueError(f"{sum(blocks)} blocks for {tensors} tensors")


def _printable(value: Any) -> Any:
    """A JSON value whose texts hold nothing that steers a terminal."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {printable(str(key)): _printable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_printable(item) for item in value]
    return value


def _not_understood(path: Path, error: Exception) -> TsainError:
    return TsainError(
        f"The settings in {path.name} cannot be understood ({first_line(error)}); the file is "
        "damaged or from a newer version: fetch it again or update napari-tsain."
    )


def load(path: str | os.PathLike[str]) -> tuple[TSAIN, ModelInfo]:
    """The network of a model file, float32 on CPU and in evaluation mode, and what it is.

    Raises
    ------
    TsainError
        As `read_info`, and if the tensors do not fit the settings.
    """
    from safetensors.torch import load_file

    path = Path(path)
    info = read_info(path)
    try:
        with torch.device("meta"):  # takes no memory, whatever the settings are
            network = TSAIN(info.settings)
    except (TypeError, ValueError, ArithmeticError, RuntimeError) as error:
        raise _not_understood(path, error) from error
    expected = {k: tuple(v.shape) for k, v in network.state_dict().items()}
    tensors = load_file(path)
    found = {k: tuple(v.shape) for k, v in tensors.items()}
    if found != expected:
        wrong = sorted(k for k in expected.keys() | found.keys() if expected.get(k) != found.get(k))
        raise TsainError(
            f"{len(wrong)} tensors of {path.name} do not fit its settings, first {wrong[0]}: "
            f"{found.get(wrong[0])} instead of {expected.get(wrong[0])}; the file is damaged."
        )
    if not all(bool(torch.isfinite(v).all()) for v in tensors.values()):
        raise TsainError(f"{path.name} holds non-finite weights; train or fetch it again.")
    # copied, since what safetensors returns may still be a mapping of the file
    copies = {k: v.to(torch.float32, copy=True) for k, v in tensors.items()}
    network.load_state_dict(copies, assign=True)
    return network.eval(), info
