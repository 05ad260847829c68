"""How a network runs on a device: precision, CUDA graphs, torch.compile."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from ...network import TSAIN, AdaptiveSampling, Features
from ...system.triton_loading import load_triton
from .device import Precision

TensorFunction = Callable[..., tuple[Tensor, ...]]

_MOST_GRAPHS = 12  # shapes of tiles: those at edges and corners of a slice differ
_WARM_UP = 2


class Execution:
    """Runs the two parts of a network, without gradients.

    On CUDA each part is captured as a CUDA graph for each shape of its inputs: several hundred
    kernels start as one.

    Parameters
    ----------
    network : TSAIN
        On the device, in float32.
    device : torch.device
    precision : "fp32" or "bf16"
        Of everything but offsets, modulation and blending.
    compile : bool
        Pass both parts through torch.compile first, which fuses what lies between convolutions:
        takes about a minute for each shape.
    """

    def __init__(
        self, network: TSAIN, device: torch.device, precision: Precision, compile: bool = False
    ) -> None:
        self._network = half_copy(network) if precision == "bf16" else network
        self._dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        self._device = device
        self._compile = compile
        self.reset()

    def reset(self) -> None:
        """Drop captured graphs and their memory."""
        encode: TensorFunction = self._encode_levels
        between: TensorFunction = self._between_levels
        if self._compile:
            load_triton()  # which the compiler imports
            encode, between = (torch.compile(f, dynamic=False) for f in (encode, between))
        if self._device.type == "cuda":
            encode, between = _Graphed(encode), _Graphed(between)
        self._encode, self._between = encode, between

    def encode(self, image: Tensor) -> Features:
        """Features of slices (N, 1, H, W) in [0, 1]."""
        with torch.inference_mode():
            a, b, c = self._encode(image.to(self._dtype))
        return Features((a, b, c))

    def between(self, a: Features, b: Features, at: float = 0.5) -> Tensor:
        """What the network predicts between two slices, (N, 1, H, W) in float32.

        `at` is the fraction of the way from the first to the second.
        """
        place = () if at == 0.5 else (torch.tensor([at], device=self._device),)
        with torch.inference_mode():
            return self._between(*a.levels, *b.levels, *place)[0]

    def _encode_levels(self, image: Tensor) -> tuple[Tensor, ...]:
        return self._network.encode(image).levels

    def _between_levels(self, *levels: Tensor) -> tuple[Tensor, ...]:
        a0, a1, a2, b0, b1, b2, *place = levels
        pair = Features((a0, a1, a2)), Features((b0, b1, b2))
        return (self._network.between(*pair, at=place[0] if place else None).float(),)


def half_copy(network: TSAIN) -> TSAIN:
    """A copy in bfloat16, except for what predicts offsets and samples."""
    half = copy.deepcopy(network).to(torch.bfloat16)
    pairs = zip(half.modules(), network.modules(), strict=True)
    for module, original in pairs:
        if isinstance(module, AdaptiveSampling) and isinstance(original, AdaptiveSampling):
            module.float().load_state_dict(original.state_dict())
    return half


class _Graph:
    """A function captured for inputs like these."""

    def __init__(self, function: TensorFunction, inputs: tuple[Tensor, ...]) -> None:
        self._inputs = tuple(torch.empty_like(t).copy_(t) for t in inputs)
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):  # kernels are chosen and compiled before the capture
            for _ in range(_WARM_UP):
                function(*self._inputs)
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
            self._outputs = function(*self._inputs)

    def replay(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        for own, given in zip(self._inputs, inputs, strict=True):
            own.copy_(given)
        self._graph.replay()
        return tuple(t.clone() for t in self._outputs)  # the next replay overwrites them


class _Graphed:
    """A function of tensors that is replayed as a CUDA graph, one for each shape it meets."""

    def __init__(self, function: TensorFunction) -> None:
        self._function = function
        self._graphs: OrderedDict[tuple[torch.Size, ...], _Graph] = OrderedDict()

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        key = tuple(t.shape for t in inputs)
        with self._on(inputs[0].device):
            if key not in self._graphs:
                while len(self._graphs) >= _MOST_GRAPHS:
                    self._graphs.popitem(last=False)
                self._graphs[key] = _Graph(self._function, inputs)
            self._graphs.move_to_end(key)
            return self._graphs[key].replay(inputs)

    @staticmethod
    def _on(device: torch.device) -> AbstractContextManager[object]:
        return torch.cuda.device(device)
