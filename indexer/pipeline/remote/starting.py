"""A run on a cluster, from its address to what reads its files."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from indexer.archive.deidentify import fingerprint
from indexer.archive.sources.remote import is_address
from indexer.cascade.compute import Compute
from indexer.pipeline.remote.cluster import Cluster, Share, connect
from indexer.pipeline.remote.executor import RayExecutor
from indexer.pipeline.remote.host import Expected, HostSettings, versions

if TYPE_CHECKING:
    from indexer.archive.decoding import DecodeSettings
    from indexer.archive.sources.members import Archive
    from indexer.cascade.bundle import Bundle

__all__ = ["RemoteRun", "expectation"]


@dataclass(frozen=True, slots=True)
class RemoteRun:
    """A cluster whose hosts fit to a run.

    Parameters
    ----------
    cluster
        Where files are read.
    expected
        What its hosts must have.
    share
        What reading a chunk takes of a host.
    """

    cluster: Cluster
    expected: Expected
    share: Share

    @classmethod
    @contextmanager
    def on(
        cls,
        address: str,
        key: bytes,
        bundle: Bundle,
        compute: Compute,
        archives: Sequence[Archive],
        workers: int | None,
    ) -> Iterator[RemoteRun]:
        """Reach a cluster, and compare its hosts with this machine.

        Parameters
        ----------
        address
            See `indexer.pipeline.remote.cluster.connect`.
        workers
            Decoding processes for a chunk; None for the cores of the smallest host.

        Raises
        ------
        ClusterError
            No cluster answers, or a host of it does not fit.
        MissingExtraError
            Ray is not installed.
        """
        expected = expectation(key, bundle, compute, archives)
        with connect(address) as cluster:
            share = cluster.share(workers, compute.device)
            yield cls(cluster, cluster.check(expected, share), share)

    def executor(
        self, settings: DecodeSettings, batch_size: int, files: int, stopped: Callable[[], bool]
    ) -> RayExecutor:
        """The executor that reads this many files there; the key stays here."""
        settings = replace(settings, key=b"")
        plan = HostSettings(
            secrets.token_hex(8), self.expected, settings, self.share.cpus, batch_size
        )
        return RayExecutor(self.cluster, plan, self.share, files=files, stopped=stopped)


def expectation(
    key: bytes, bundle: Bundle, compute: Compute, archives: Sequence[Archive]
) -> Expected:
    """What each host must have to read these archives as this machine would."""
    # Relative paths would mean something else on each host.
    compute = replace(compute, bundle=None if bundle.place is None else Path(bundle.place))
    remote = any(is_address(archive.path) for archive in archives)
    places = tuple(place for archive in archives for place in _places(archive.path))
    return Expected(versions(remote), fingerprint(key), bundle.hash, compute, places)


def _places(archive: str) -> Iterator[str]:
    """An archive, and something in its folder, which is empty where it is not mounted."""
    yield archive
    if not is_address(archive) and os.path.isdir(archive):
        with os.scandir(archive) as entries:
            first = next(entries, None)
        if first is not None:
            yield first.path
