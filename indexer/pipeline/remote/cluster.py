"""A Ray cluster: reached, its hosts listed and compared with what a run expects of them."""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from indexer.errors import ClusterError, HostMismatch, MissingExtraError
from indexer.pipeline.remote.host import Expected, probe

__all__ = ["Cluster", "ClusterNode", "Share", "connect"]

_log = logging.getLogger(__name__)

_SCHEME = "ray://"
_REACH_SECONDS = 5.0
_PROBE_SECONDS = 60.0
# Set before Ray is imported, unless they are set already.
_ENVIRONMENT = {
    # Ray reports its use to its maker otherwise.
    "RAY_USAGE_STATS_ENABLED": "0",
    # A machine that lost its network is noticed within seconds instead of minutes.
    "RAY_grpc_client_keepalive_time_ms": "5000",
    "RAY_grpc_client_keepalive_timeout_ms": "5000",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # Workers of a cluster started here get the priority of a run without one.
    "RAY_worker_niceness": "0",
}


@dataclass(frozen=True, slots=True)
class ClusterNode:
    """A machine of the cluster that computes.

    Parameters
    ----------
    node
        Ray's id of it.
    address
        Its IP address.
    cpus, gpus
        What it offers.
    """

    node: str
    address: str
    cpus: int
    gpus: int


@dataclass(frozen=True, slots=True)
class Share:
    """What reading one chunk takes of a machine."""

    cpus: int
    gpus: int

    def places(self, nodes: list[ClusterNode]) -> int:
        """How many chunks these machines read at the same time."""
        return sum(self.places_on(node) for node in nodes)

    def places_on(self, node: ClusterNode) -> int:
        """How many chunks a machine reads at the same time."""
        by_gpus = node.gpus // self.gpus if self.gpus else node.cpus
        return min(node.cpus // self.cpus, by_gpus)


class Cluster:
    """A cluster that answers; made by `connect`.

    Parameters
    ----------
    ray
        The module.
    """

    def __init__(self, ray: Any) -> None:
        self.ray = ray

    def nodes(self) -> list[ClusterNode]:
        """The machines that compute now.

        Raises
        ------
        ClusterError
            The head of the cluster does not answer any more.
        """
        try:
            listed = self.ray.nodes()
        except self.ray.exceptions.RayError as error:
            raise ClusterError("the head of the Ray cluster does not answer any more") from error
        found = []
        for node in listed:
            offers = node["Resources"]
            if node["Alive"] and offers.get("CPU", 0) >= 1:
                cpus, gpus = int(offers["CPU"]), int(offers.get("GPU", 0))
                found.append(ClusterNode(node["NodeID"], node["NodeManagerAddress"], cpus, gpus))
        return found

    def share(self, workers: int | None, device: str) -> Share:
        """What reading a chunk takes, with this many decoding processes and a device.

        Without a number of processes, the smallest machine reads one chunk at a time, or one for
        each of its GPUs. Where there are GPUs they read, unless the device is ``"cpu"``.
        """
        nodes = self.nodes()
        with_gpus = [node for node in nodes if node.gpus] if device != "cpu" else []
        if device.startswith("cuda") and nodes and not with_gpus:
            raise ClusterError("no host of the cluster has a GPU: choose `device=cpu` or auto")
        gpus = 1 if with_gpus else 0
        smallest = min((n.cpus // max(n.gpus * gpus, 1) for n in with_gpus or nodes), default=1)
        return Share(workers or max(smallest, 1), gpus)

    def check(self, expected: Expected, share: Share) -> Expected:
        """Have each machine compare itself with what a run expects; one that is ending may not.

        What is expected of machines that join later is given: that they compute alike, too.

        Raises
        ------
        HostMismatch
            Something differs on a machine, which it names, or two compute differently.
        """
        ray = self.ray
        task = ray.remote(probe)
        waiting = {}
        for node in self.nodes():
            if not share.places_on(node):
                continue
            options = {
                "num_cpus": 0,
                # The task must see the GPU to tell what it computes with.
                "num_gpus": 0.001 if share.gpus else 0,
                "max_retries": 0,
                "label_selector": {"ray.io/node-id": node.node},
            }
            waiting[task.options(**options).remote(expected)] = node
        if not waiting:
            _log.warning(
                "no host of the cluster offers %d cores: the run waits for one", share.cpus
            )
            return expected
        done, _ = ray.wait(list(waiting), num_returns=len(waiting), timeout=_PROBE_SECONDS)
        computing: str | None = None
        for answer in done:
            try:
                where, problem, found = ray.get(answer)
            except ray.exceptions.RayTaskError:
                raise
            except ray.exceptions.RayError:
                # The machine ended while it was asked, so its work is read elsewhere.
                continue
            if problem is not None:
                raise HostMismatch(f"{where}: {problem}")
            if computing not in (None, found):
                raise HostMismatch(
                    f"{where} computes with {found}, another with {computing}, which does not give "
                    "the same readings: choose what all of them have with `runtime`, `device` "
                    "and `precision`"
                )
            computing = found
        return replace(expected, computes=computing)


@contextmanager
def connect(on: str) -> Iterator[Cluster]:
    """Reach a cluster, and leave it.

    Parameters
    ----------
    on
        ``"ray://HOST:PORT"``, the address that ``ray start --head`` prints; or ``"ray"``: that of
        RAY_ADDRESS, else the cluster of this machine, else one of this machine alone for the time.

    Raises
    ------
    ClusterError
        The address is malformed, nothing answers there, or this machine is not part of it.
    MissingExtraError
        Ray is not installed.
    """
    address = _address(on)
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError(
            "reading on a cluster needs the extra: pip install 'cxrdex[ray]'"
        ) from error
    if ray.is_initialized():
        yield Cluster(ray)
        return
    try:
        ray.init(address, configure_logging=False, log_to_driver=False)
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise ClusterError(_unreachable(on, address)) from error
    # Ray tells of hosts that have ended on standard output, where a summary as JSON may go.
    ray._private.worker._worker_logs_enabled = False
    try:
        yield Cluster(ray)
    finally:
        ray.shutdown()


def _address(on: str) -> str | None:
    """HOST:PORT, at which something listens; None for ``"ray"``."""
    if on == "ray":
        return None
    host, colon, port = on.removeprefix(_SCHEME).rpartition(":")
    if not (on.startswith(_SCHEME) and colon and host and port.isdecimal()):
        raise ClusterError(
            f"{on!r} is no cluster: say ray://HOST:PORT, as `ray start --head` prints it, or ray"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), _REACH_SECONDS).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise ClusterError(
            f"no cluster answers at {host}:{port} ({reason}): `ray start --head` starts one and "
            "prints its address"
        ) from error
    return f"{host}:{port}"


def _unreachable(on: str, address: str | None) -> str:
    if address is None:
        return (
            "Ray cannot be started or reached on this machine: its logs are in "
            "/tmp/ray/session_latest/logs"
        )
    return (
        f"{on} cannot be joined: is it the address that `ray start --head` printed, and does this "
        f"machine belong to the cluster (`ray start --address={address} --num-cpus=0`)? Ray and "
        f"Python {sys.version_info[0]}.{sys.version_info[1]} must be the same on all machines"
    )
