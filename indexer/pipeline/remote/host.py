"""What a machine of a cluster does: it compares itself with the plan of a run, and reads chunks.

The key of the pseudonyms is in no plan: each host reads its own key file, and only fingerprints
are compared.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from indexer.archive.deidentify import fingerprint
from indexer.archive.id_key import find_key, key_path
from indexer.archive.sources.remote import is_address, open_address
from indexer.cascade.compute import Compute
from indexer.database.outcomes import Outcome
from indexer.errors import ArchiveError, CxrdexError, HostMismatch, MissingExtraError
from indexer.pipeline.executor import FileTask, file_reader, to_outcome
from indexer.pipeline.pool import DecodePool
from indexer.pipeline.stages.batches import Batches, CanvasPredictor

if TYPE_CHECKING:
    from indexer.archive.decoding import DecodeSettings

__all__ = [
    "Answer",
    "Expected",
    "HostAddress",
    "HostReader",
    "HostSettings",
    "check",
    "computes",
    "host_address",
    "probe",
    "read_chunk",
    "versions",
]

# Packages whose versions decide which pixels a file has and what is read in them.
_PACKAGES = (
    "cxrdex", "imagecodecs", "numpy", "openvino", "pillow", "pydicom", "pyjpegls",
    "pylibjpeg-openjpeg", "pylibjpeg-rle", "python-gdcm", "timm", "torch",
)  # fmt: skip
# And those that open addresses.
_OPENERS = ("aiohttp", "fsspec", "s3fs")


def versions(remote: bool = False) -> dict[str, str]:
    """Versions of the packages that decide what is read; empty for one that is not installed.

    What follows a plus sign names the build, such as that of torch without CUDA, and is left out.

    Parameters
    ----------
    remote
        Whether an archive is an address.
    """
    return {name: _version(name) for name in (*_PACKAGES, *(_OPENERS if remote else ()))}


def _version(package: str) -> str:
    try:
        return version(package).split("+")[0]
    except PackageNotFoundError:
        return ""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a host must have, so that a file is read alike wherever it is read.

    Parameters
    ----------
    versions
        As `versions` gives them.
    key
        Fingerprint of the key of the pseudonyms.
    bundle
        Hash of the bundle.
    compute
        Where the bundle is, the same on every host, and what computes it.
    places
        Paths and addresses that must be there: the archives, and of each folder something that it
        holds.
    computes
        What `computes` gives; None where that is not known yet.
    """

    versions: dict[str, str]
    key: str
    bundle: str
    compute: Compute
    places: tuple[str, ...] = ()
    computes: str | None = None


@dataclass(frozen=True, slots=True)
class HostSettings:
    """What a host needs to read files; it travels with each chunk, and holds no secret.

    Parameters
    ----------
    run
        Names the run: a host keeps bundle and processes from one chunk of it to the next.
    expected
        What the host must have.
    settings
        How images are prepared; without the key.
    workers
        Processes that decode.
    batch_size
        Images read by the model at once.
    reader
        Makes what the processes apply to each file; pickled by reference.
    predictor
        Makes the model; None for that of the bundle.
    """

    run: str
    expected: Expected
    settings: DecodeSettings
    workers: int
    batch_size: int
    reader: Callable[[DecodeSettings], Callable[[FileTask], Outcome]] = file_reader
    predictor: Callable[[], CanvasPredictor] | None = None


@dataclass(frozen=True, slots=True)
class HostAddress:
    """A host.

    Parameters
    ----------
    node
        Ray's id of it.
    address, name
        Its IP address, and the name it has for itself.
    """

    node: str
    address: str
    name: str

    def __str__(self) -> str:
        return f"host {self.address} ({self.name})"


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a chunk, and how long it took.

    Parameters
    ----------
    outcomes
        In the order of the files; images with their readings, without their canvases.
    seconds
        From the first file to the last.
    decoding, predicting
        Seconds of work, of all processes together and of the model.
    """

    outcomes: list[Outcome]
    seconds: float
    decoding: float
    predicting: float


def check(expected: Expected) -> None:
    """Compare this machine with what a run expects.

    Raises
    ------
    HostMismatch
        Something differs; it says what, and what would be right.
    CxrdexError
        Its key file or its bundle cannot be used.
    """
    for package, wanted in expected.versions.items():
        found = _version(package)
        if found != wanted:
            raise HostMismatch(
                f"{package} is {found or 'missing'} there and {wanted or 'missing'} here: install "
                "the same versions everywhere, with `pip install -c constraints.txt`"
            )
    key = find_key()
    if key is None:
        raise HostMismatch(
            f"there is no id key at {key_path()}: copy the key file of this machine to it, "
            "readable by its owner alone, or name another in CXRDEX_KEY_FILE before `ray start`"
        )
    if fingerprint(key) != expected.key:
        raise HostMismatch(
            f"the id key at {key_path()} is another one ({fingerprint(key)} instead of "
            f"{expected.key}): copy the key file of this machine to it"
        )
    bundle = expected.compute.load_bundle()
    if bundle.hash != expected.bundle:
        raise HostMismatch(
            f"the bundle at {bundle.path} is {bundle.hash} there and {expected.bundle} here: it "
            "must be the same, at the same path, on every host"
        )
    for place in expected.places:
        if is_address(place):
            _check_address(place)
        elif not os.path.lexists(place):
            raise HostMismatch(
                f"an archive is not to be seen there ({os.path.dirname(place)} lacks what it holds "
                "here): mount it at the same path on every host"
            )
    if expected.computes is not None and computes(expected.compute) != expected.computes:
        raise HostMismatch(
            f"it computes with {computes(expected.compute)}, the others with {expected.computes}, "
            "which does not give the same readings: choose what all of them have with `runtime`, "
            "`device` and `precision`"
        )


def _check_address(address: str) -> None:
    try:
        open_address(address)
    except (ArchiveError, MissingExtraError) as error:
        raise HostMismatch(
            f"an archive cannot be opened there: {error}; each host needs the extra `remote`, and "
            "the login in its environment before `ray start`"
        ) from None


def probe(expected: Expected) -> tuple[HostAddress, str | None, str]:
    """A task of the cluster: where it runs, what does not fit there, and what computes the CNN."""
    try:
        check(expected)
        return host_address(), None, computes(expected.compute)
    except CxrdexError as error:
        return host_address(), str(error), ""


def computes(compute: Compute) -> str:
    """What the CNN is computed with here, such as ``"openvino in bf16"``."""
    from indexer.cascade.runtimes import choose

    runtime, precision = choose(compute.runtime, compute.device), compute.precision
    if runtime == "openvino" and precision == "auto":
        from indexer.cascade.runtimes.openvino_cpu import fastest_precision

        precision = fastest_precision()
    return f"{runtime} in {precision}"


class HostReader:
    """Bundle and decoding processes of one run, kept from chunk to chunk.

    Parameters
    ----------
    plan
        The run's plan.

    Raises
    ------
    CxrdexError
        As `check`, or the model cannot be loaded.
    """

    def __init__(self, plan: HostSettings) -> None:
        check(plan.expected)
        key = find_key()
        assert key is not None
        _forget_main()
        settings = replace(plan.settings, key=key)
        self._plan = plan
        self._pool: DecodePool[FileTask, Outcome] = DecodePool(
            plan.reader(settings),
            iter(()),
            workers=plan.workers,
            window=max(4 * plan.batch_size, 16 * plan.workers),
            timeout=settings.limits.seconds,
            memory=settings.limits.memory_bytes,
        )
        self._pool.__enter__()
        try:
            self._predictor = self._load()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the processes."""
        self._pool.__exit__()

    def read(self, tasks: Sequence[FileTask]) -> Answer:
        """Read a chunk.

        Raises
        ------
        CxrdexError
            Processes cannot be started.
        """
        started, decoding = time.monotonic(), self._pool.meter.busy
        with Batches(self._predictor, self._plan.batch_size) as batches:
            for task, answer in self._pool.more(iter(tasks)):
                batches.add(to_outcome(task, answer), read=True)
            batches.flush()
        return Answer(
            batches.take(),
            time.monotonic() - started,
            self._pool.meter.busy - decoding,
            batches.meter.busy,
        )

    def _load(self) -> CanvasPredictor:
        if self._plan.predictor is not None:
            return self._plan.predictor()
        from indexer.cascade.reading import Predictor

        compute = self._plan.expected.compute
        return Predictor(compute.load_bundle(), compute, self._plan.batch_size)


#: The reader of the run that this process works for.
_kept: dict[str, HostReader] = {}


def read_chunk(
    plan: HostSettings, tasks: Sequence[FileTask]
) -> Iterator[HostAddress | Answer | None]:
    """A task of the cluster: where it runs, None once it is ready to read, and the answer.

    Raises
    ------
    CxrdexError
        As `HostReader`.
    """
    yield host_address()
    if plan.run not in _kept:
        _drop()
        _kept[plan.run] = HostReader(plan)
    yield None
    try:
        answer = _kept[plan.run].read(tasks)
    except BaseException:
        # After a cancelled or failed chunk, its processes still work on files that nobody waits
        # for.
        _drop()
        raise
    yield answer


def host_address() -> HostAddress:
    """The host that a task of the cluster runs on."""
    import ray

    node = ray.get_runtime_context().get_node_id()
    return HostAddress(node, ray.util.get_node_ip_address(), socket.gethostname())


def _drop() -> None:
    while _kept:
        _kept.popitem()[1].close()


def _forget_main() -> None:
    """Spare decoding processes the import of Ray, which is what this process was started with."""
    main = sys.modules["__main__"]
    if getattr(main, "__file__", None) and main.__spec__ is None:
        main.__file__ = None
