"""Every runtime is held to the torch reference, on one set of pictures."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from cli.indexing.index import index as index_command
from indexer.cascade import runtimes
from indexer.cascade.bundle import Bundle
from indexer.cascade.networks.encoder import Outputs
from indexer.cascade.reading import Predictor
from indexer.cascade.runtimes import Encoded, EncoderRuntime, OutOfDeviceMemory, openvino_cpu
from indexer.cascade.runtimes.cuda import Cuda
from indexer.cascade.runtimes.export import round_filters
from indexer.cascade.runtimes.reference import Reference, build_encoder
from indexer.errors import BundleError, MissingExtraError
from indexer.simulation.film import expose

ByteArray = npt.NDArray[np.uint8]


def _loader(name: str, precision: str) -> Callable[[Bundle], EncoderRuntime]:
    return lambda bundle: runtimes.load(bundle, name, precision=precision)


def _cuda_on_cpu(bundle: Bundle) -> EncoderRuntime:
    return Cuda(build_encoder(bundle), torch.device("cpu"), torch.bfloat16)


_no_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
_no_openvino = pytest.mark.skipif(not openvino_cpu.is_available(), reason="no OpenVINO here")
_no_bf16 = pytest.mark.skipif(
    not (openvino_cpu.is_available() and openvino_cpu.has_bf16()),
    reason="this processor has no bf16",
)
# The least cosine of a search vector to that of the reference, and what logits may be off by.
EVERY = [
    pytest.param(_loader("torch", "auto"), 1 - 1e-6, 0.5, id="torch"),
    pytest.param(_loader("openvino", "float32"), 1 - 1e-5, 0.5, id="openvino", marks=_no_openvino),
    pytest.param(_loader("openvino", "bf16"), 0.999, 0.5, id="openvino-bf16", marks=_no_bf16),
    pytest.param(_loader("openvino", "int8"), 0.8, 4.0, id="openvino-int8", marks=_no_openvino),
    pytest.param(_loader("cuda", "auto"), 0.999, 0.5, id="cuda", marks=_no_gpu),
    # Its autocast and its outputs, with the processor in the place of the GPU.
    pytest.param(_cuda_on_cpu, 0.99, 0.5, id="cuda-without-gpu"),
]


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for the networks; each is exported into it once."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openvino_cpu, "user_cache_path", lambda *_, **__: folder)
        yield folder


@pytest.fixture(scope="module")
def canvases(bundle: Bundle) -> ByteArray:
    rng = np.random.default_rng(0)
    films = [expose(rng, bundle.size, bundle.size) for _ in range(6)]
    return (np.stack(films) * 255).astype(np.uint8)


@pytest.fixture(scope="module")
def reference(bundle: Bundle, canvases: ByteArray) -> Encoded:
    return runtimes.load(bundle, "torch").encode(canvases)


@pytest.mark.parametrize(("load", "least", "off"), EVERY)
def test_it_agrees_with_the_reference(
    load: Callable[[Bundle], EncoderRuntime],
    least: float,
    off: float,
    bundle: Bundle,
    canvases: ByteArray,
    reference: Encoded,
) -> None:
    encoded = load(bundle).encode(canvases)
    assert [part.dtype for part in encoded] == [np.float32] * 3
    assert [part.shape for part in encoded] == [part.shape for part in reference]
    one, other = encoded.embedding, reference.embedding
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    assert ((one * other).sum(1) / lengths).min() > least
    np.testing.assert_allclose(encoded.logits, reference.logits, atol=off)
    np.testing.assert_allclose(encoded.view, reference.view, atol=off)


@pytest.mark.parametrize(("load", "least", "off"), EVERY)
def test_a_reading_does_not_depend_on_its_neighbours(
    load: Callable[[Bundle], EncoderRuntime],
    least: float,
    off: float,
    bundle: Bundle,
    canvases: ByteArray,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoding = load(bundle)
    monkeypatch.setattr("indexer.cascade.reading.load", lambda *_: encoding)
    runtime = Predictor(bundle, batch_size=4)
    whole = runtime.read(canvases)
    order = [5, 0, 3]
    for place, reading in zip(order, runtime.read(canvases[order]), strict=True):
        assert reading.embedding.tobytes() == whole[place].embedding.tobytes()
        assert reading.to_json() == whole[place].to_json()


@pytest.mark.parametrize(("load", "least", "off"), EVERY)
def test_threads_may_read_at_once(
    load: Callable[[Bundle], EncoderRuntime],
    least: float,
    off: float,
    bundle: Bundle,
    canvases: ByteArray,
) -> None:
    encoding = load(bundle)
    alone = [encoding.encode(canvases[n : n + 3]) for n in range(4)]
    with ThreadPoolExecutor(4) as pool:
        turns = [n % 4 for n in range(24)]
        together = pool.map(lambda n: encoding.encode(canvases[n : n + 3]), turns)
        for n, encoded in zip(turns, together, strict=True):
            for one, other in zip(encoded, alone[n], strict=True):
                np.testing.assert_array_equal(one, other)


class _Processor:
    def __init__(self, name: str, capabilities: list[str]) -> None:
        self._known = {"FULL_DEVICE_NAME": name, "OPTIMIZATION_CAPABILITIES": capabilities}

    def Core(self) -> _Processor:  # noqa: N802
        return self

    def get_property(self, _: str, name: str) -> object:
        return self._known[name]


@_no_openvino
@pytest.mark.parametrize(
    ("name", "capabilities", "flags", "expected"),
    [
        ("Intel(R) Xeon(R) Processor", ["FP32", "BF16"], ["avx512_bf16", "amx_bf16"], "bf16"),
        ("Intel(R) Xeon(R) Processor", ["FP32", "BF16"], ["avx512_bf16"], "float32"),
        ("AMD EPYC 9R14", ["FP32", "BF16"], ["avx512_bf16"], "bf16"),
        ("AMD EPYC 7R13", ["FP32"], ["avx2"], "float32"),
        ("Intel(R) Core(TM) i7-9700", ["FP32"], [], "float32"),
    ],
)
def test_auto_is_what_the_processor_is_faster_in(
    name: str,
    capabilities: list[str],
    flags: list[str],
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(openvino_cpu, "load_openvino", lambda: _Processor(name, capabilities))
    monkeypatch.setattr(openvino_cpu, "_processor_flags", lambda: flags)
    assert openvino_cpu.fastest_precision() == expected


class _Alone(nn.Module):
    """A CNN that must not be asked while it answers."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = threading.Lock()

    def forward(self, pictures: Tensor) -> Outputs:
        assert self.asked.acquire(blocking=False), "asked by two at once"
        time.sleep(0.02)
        self.asked.release()
        rows = torch.zeros(len(pictures), 1)
        return Outputs(rows, rows, rows[:, 0], rows)


@pytest.mark.parametrize("made", ["torch", "cuda"])
def test_torch_is_asked_by_one_thread_at_a_time(made: str) -> None:
    encoder: Any = _Alone()
    cpu = torch.device("cpu")
    encoding: EncoderRuntime = (
        Reference(encoder, cpu) if made == "torch" else Cuda(encoder, cpu, None)
    )
    with ThreadPoolExecutor(4) as pool:
        assert len([*pool.map(encoding.encode, [np.zeros((1, 8, 8), np.uint8)] * 8)]) == 8


class _Small:
    """A runtime whose device has room for two pictures."""

    precision = "float32"
    fixed_batch = True

    def __init__(self, encoding: EncoderRuntime, room: int) -> None:
        self.room = room
        self.batches: list[int] = []
        self._encoder = encoding

    def encode(self, canvases: ByteArray, /) -> Encoded:
        self.batches.append(len(canvases))
        if len(canvases) > self.room:
            raise OutOfDeviceMemory("256 MiB wanted")
        return self._encoder.encode(canvases)


def test_a_batch_that_does_not_fit_is_halved(
    bundle: Bundle, canvases: ByteArray, reference: Encoded, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = _Small(runtimes.load(bundle, "torch"), room=2)
    monkeypatch.setattr("indexer.cascade.reading.load", lambda *_: small)
    runtime = Predictor(bundle, batch_size=6)
    encoded = runtime.encode(canvases)
    np.testing.assert_allclose(encoded.embedding, reference.embedding, atol=1e-4)
    assert small.batches == [6, 3, 2, 2, 2]
    runtime.encode(canvases[:1])
    assert small.batches[5:] == [2], "it must go on with what fits"
    small.room = 0
    with pytest.raises(BundleError, match="no memory for one picture"):
        runtime.encode(canvases)


def test_torch_out_of_memory_is_told_apart(
    bundle: Bundle, canvases: ByteArray, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoding = Cuda(build_encoder(bundle), torch.device("cpu"), None)

    def full(pictures: torch.Tensor) -> tuple[torch.Tensor, ...]:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(encoding, "_compute", full)
    with pytest.raises(OutOfDeviceMemory):
        encoding.encode(canvases)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "warp"}, "no runtime is named 'warp': choose auto, torch, openvino, cuda"),
        ({"precision": "int3"}, "no precision is named 'int3': choose auto, float32, bf16"),
        ({"device": "warp"}, "no device is named 'warp'"),
        ({"name": "openvino", "device": "cuda"}, "does not run on 'cuda'"),
        ({"name": "cuda", "device": "cpu"}, "does not run on 'cpu'"),
        ({"name": "torch", "precision": "bf16"}, "computes in float32"),
    ],
)
def test_what_cannot_be(arguments: dict[str, str], message: str, bundle: Bundle) -> None:
    with pytest.raises(BundleError, match=message):
        runtimes.load(bundle, **arguments)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_cuda_without_a_gpu() -> None:
    with pytest.raises(BundleError, match="needs an NVIDIA GPU"):
        runtimes.choose("cuda")


def test_without_openvino(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert runtimes.choose("auto", "cpu") == "torch"
    with pytest.raises(MissingExtraError, match="pip install openvino"):
        runtimes.choose("openvino")


@_no_openvino
def test_auto_on_a_processor() -> None:
    assert runtimes.choose("auto", "cpu") == "openvino"


@_no_openvino
def test_a_cache_that_cannot_be_written(
    bundle: Bundle,
    canvases: ByteArray,
    reference: Encoded,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(openvino_cpu, "user_cache_path", lambda *_, **__: tmp_path / "file")
    encoding = runtimes.load(bundle, "openvino", precision="float32")
    found = encoding.encode(canvases[:1]).embedding
    np.testing.assert_allclose(found, reference.embedding[:1], atol=1e-3)


@_no_openvino
def test_a_cached_network_needs_no_torch_and_nothing_is_reported(
    bundle: Bundle, cache: Path
) -> None:
    runtimes.load(bundle, "openvino")
    program = f"""
import sys
from pathlib import Path
from indexer.cascade.runtimes import openvino_cpu
openvino_cpu.user_cache_path = lambda *_, **__: Path({str(cache)!r})
from indexer.cascade.bundle import Bundle
from indexer.cascade.compute import Compute
from indexer.cascade.reading import Predictor
import numpy as np
bundle = Bundle.load()
Predictor(bundle, Compute(device="cpu")).read(np.zeros((1, bundle.size, bundle.size), np.uint8))
assert "torch" not in sys.modules
assert sys.modules["openvino_telemetry"] is None
assert "openvino.tools.ovc" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)


@_no_bf16
def test_the_first_layers_stay_in_float32(bundle: Bundle) -> None:
    encoding: Any = runtimes.load(bundle, "openvino", precision="bf16")
    layers = [node.get_rt_info() for node in encoding._compiled.get_runtime_model().get_ops()]
    kinds = [
        layer["primitiveType"].astype(str).rsplit("_", 1)[1]
        for layer in layers
        if "layerType" in layer and layer["layerType"].astype(str) == "Convolution"
    ]
    members = len(bundle.architecture["backbones"])
    assert kinds.count("f32") == 3 * members
    assert set(kinds) == {"f32", "bf16"}


def test_filters_are_rounded_and_keep_their_sums() -> None:
    weights = np.random.default_rng(0).normal(size=(40, 1, 5, 5)).astype(np.float32)
    rounded = round_filters(weights)
    nearest = torch.from_numpy(weights).bfloat16().float().numpy()
    assert (torch.from_numpy(rounded).bfloat16().float().numpy() == rounded).all()
    np.testing.assert_allclose(rounded, weights, atol=0.05)
    moved, before = (np.abs((w - weights).sum((2, 3))).max() for w in (rounded, nearest))
    assert moved < before / 10


def test_the_options_name_all_runtimes() -> None:
    choices = {p.name: getattr(p.type, "choices", None) for p in index_command.params}
    assert choices["runtime"] == runtimes.NAMES
    assert choices["precision"] == runtimes.PRECISIONS


@_no_openvino
def test_int8_without_its_extra_says_what_to_install(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino_cpu, "user_cache_path", lambda *_, **__: tmp_path)
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(MissingExtraError, match=r"cxrdex\[int8\]"):
        runtimes.load(bundle, "openvino", precision="int8")
