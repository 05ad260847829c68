"""Checkpoints under the authors' names."""

from __future__ import annotations

import pickle
from io import BytesIO
from pathlib import Path

import pytest
import torch

from support.authors_checkpoint import authors_state
from tsain_core.errors import TsainError
from tsain_core.inference.cost import parameter_count
from tsain_core.model_files.checkpoint import load, save
from tsain_core.model_files.convert import convert, rename
from tsain_core.network import PRESETS


def test_total_with_the_dead_weights_is_the_papers() -> None:
    assert sum(t.numel() for t in authors_state().values()) == 5_713_716


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize(("blocks", "preset"), [(10, "tsain"), (40, "tsain-40")])
def test_every_tensor_lands_where_it_belongs(
    tmp_path: Path, blocks: int, preset: str, prefix: str
) -> None:
    state = authors_state(blocks)
    path = tmp_path / "authors.pth"
    torch.save({"epoch": 99, "state_dict": {prefix + k: v for k, v in state.items()}}, path)
    network, info = convert(path)
    assert network.settings == PRESETS[preset]
    assert info.training["epoch"] == 99
    assert parameter_count(network) == sum(
        v.numel() for k, v in state.items() if ".fusion." not in k
    )
    ours = network.state_dict()
    seen = set()
    for name, value in state.items():
        new = rename(name)
        if new is not None:
            assert (ours[new] == value).all(), name
            seen.add(new)
    assert seen == set(ours)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("pcd_align.L3_dcnpack_1.conv_offset_mask.weight",
         "temporal0.levels.2.sample.offset_conv.weight"),
        ("pcd_align.L1_fea_conv_2.bias", "temporal2.levels.0.merge.bias"),
        ("rsa.1.dcnpack.weight", "rsabs.1.sample.deform.weight"),
        ("corrector.2.easy_align2.offset_conv1.bias", "drbs.2.align2.compare.bias"),
        ("corrector.0.easy_align1.fusion.weight", None),
    ],
)  # fmt: skip
def test_names(theirs: str, ours: str | None) -> None:
    assert rename(theirs) == ours


def broken(kind: str) -> object:
    state = authors_state()
    if kind == "foreign":
        return {"state_dict": {"backbone.weight": torch.zeros(1)}}
    if kind == "shape":
        state["fusion1.weight"] = torch.zeros(64, 64, 1, 1)
    elif kind == "missing":
        del state["fusion2.2.bias"]
    elif kind == "list":
        return [1, 2]
    elif kind == "numbered":
        return {1: torch.zeros(1)}
    elif kind == "flat":
        state["conv_first.weight"] = torch.zeros(64)
    return {"state_dict": state}


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("foreign", "'backbone'"),
        ("shape", "temporal_fusion"),
        ("missing", "reconstruction.fuse.1.bias"),
        ("list", "no state dict"),
        ("numbered", "no state dict"),
        ("flat", "conv_first"),
    ],
)
def test_other_checkpoints_are_refused(tmp_path: Path, kind: str, message: str) -> None:
    torch.save(broken(kind), tmp_path / "a.pth")
    with pytest.raises(TsainError, match=message) as caught:
        convert(tmp_path / "a.pth")
    assert "\n" not in str(caught.value)


def garbage(kind: str) -> bytes:
    whole = BytesIO()
    torch.save({"state_dict": {"conv_first.weight": torch.zeros(64, 3, 3, 3)}}, whole)
    return {
        "empty": b"",
        "text": b"epoch,loss\n1,0.5\n",
        "png": b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
        "truncated": whole.getvalue()[:-300],
        "beginning": whole.getvalue()[:200],
        "pickle": pickle.dumps({"state_dict": {}}, protocol=0),
    }[kind]


@pytest.mark.parametrize("kind", ["empty", "text", "png", "truncated", "beginning", "pickle"])
def test_files_that_are_no_checkpoint(tmp_path: Path, kind: str) -> None:
    (tmp_path / "a.pth").write_bytes(garbage(kind))
    with pytest.raises(TsainError, match="a.pth cannot be read as a PyTorch checkpoint") as caught:
        convert(tmp_path / "a.pth")
    assert "\n" not in str(caught.value)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(TsainError, match="No such file"):
        convert(tmp_path / "none.pth")
    with pytest.raises(TsainError, match="Is a directory"):
        convert(tmp_path)


def test_what_is_converted_can_be_saved(tmp_path: Path) -> None:
    """Whatever else the checkpoint holds, such as an epoch that is a tensor."""
    state = authors_state()
    torch.save({"epoch": torch.tensor(3), "state_dict": state}, tmp_path / "a.pth")
    network, info = convert(tmp_path / "a.pth", "mine")
    save(tmp_path / "mine.safetensors", network, info)
    again, read = load(tmp_path / "mine.safetensors")
    assert read.name == "mine"
    assert read.training["converted_from"] == "a.pth"
    for (name, a), b in zip(network.state_dict().items(), again.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0, msg=name)


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    torch.save({"state_dict": Bomb(tmp_path / "exploded")}, tmp_path / "a.pth")
    with pytest.raises(TsainError, match="cannot be read"):
        convert(tmp_path / "a.pth")
    assert not (tmp_path / "exploded").exists()
