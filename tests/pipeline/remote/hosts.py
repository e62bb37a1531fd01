"""Machines of a Ray cluster that are network namespaces: killed, unplugged and started again."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

__all__ = ["Hosts", "needed", "ray_is_missing", "unavailable"]

_VARIABLE = "CXRDEX_TEST_HOSTS"

_RAY = Path("/tmp/ray")
_SECONDS = 120.0


def needed(reason: str | None) -> pytest.MarkDecorator:
    """Skips tests for a reason, if there is one; an error where the environment wants them run."""
    if reason is not None and os.environ.get(_VARIABLE):
        raise RuntimeError(f"{_VARIABLE} is set, but {reason}")
    return pytest.mark.skipif(reason is not None, reason=str(reason))


def ray_is_missing() -> str | None:
    """What to do where Ray is not installed; None where it is."""
    if importlib.util.find_spec("ray") is None:
        return "Ray is not installed: pip install -c constraints.txt 'ray>=2.50'"
    return None


def unavailable() -> str | None:
    """Why there can be no such machines here; None where there can."""
    if reason := ray_is_missing():
        return reason
    if sys.platform != "linux" or os.geteuid() != 0:
        return "network namespaces are made by root, on Linux"
    for program in ("ip", "nsenter", "mount"):
        if shutil.which(program) is None:
            return f"{program} is not installed (packages iproute2 and util-linux)"
    name = f"cxr-try-{os.getpid()}"
    done = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if done.returncode:
        return f"network namespaces cannot be made here: {done.stderr.strip()}"
    subprocess.run(["ip", "netns", "delete", name], check=True)
    return None


class Hosts:
    """A head that reads nothing, and machines with cables to one switch.

    Each has a network, a folder /tmp/ray and a key file of its own; all else they share.

    Parameters
    ----------
    folder
        For key files and what Ray prints.
    count
        Machines beside the head, which is number 0.
    key
        The key file that each gets a copy of.
    cores
        That each offers.
    """

    def __init__(self, folder: Path, count: int, key: Path, cores: int = 1) -> None:
        number = os.getpid()
        self._folder = folder
        self._cores = cores
        self._short = f"cx{number % 100_000}"
        self._network = f"10.{200 + number % 50}.{number // 50 % 250}"
        self.numbers = range(1, count + 1)
        self._blocks: dict[int, subprocess.Popen[bytes]] = {}
        _ip("link", "add", self._short, "type", "bridge")
        _ip("link", "set", self._short, "up")
        for host in (0, *self.numbers):
            shutil.copy(key, self.key(host))
            namespace, cable = self._namespace(host), self._cable(host)
            _ip("netns", "add", namespace)
            _ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", namespace)
            _ip("link", "set", cable, "master", self._short, "up")
            _ip("-n", namespace, "address", "add", f"{self.address(host)}/24", "dev", "eth0")
            _ip("-n", namespace, "link", "set", "eth0", "up")
            _ip("-n", namespace, "link", "set", "lo", "up")

    @property
    def url(self) -> str:
        """What `--on` is given."""
        return f"ray://{self.address(0)}:6379"

    def address(self, host: int) -> str:
        """The IP address of a machine."""
        return f"{self._network}.{host + 1}"

    def key(self, host: int) -> Path:
        """The key file of a machine."""
        return self._folder / f"key{host}"

    def start(self, *hosts: int) -> None:
        """Start Ray on machines, and wait until they belong to the cluster."""
        for host in hosts:
            words = ["ray", "start", "--block", f"--node-ip-address={self.address(host)}"]
            words += ["--memory=2000000000", "--object-store-memory=100000000"]
            words += ["--include-log-monitor=false"]
            if host:
                words += [f"--address={self.address(0)}:6379", f"--num-cpus={self._cores}"]
            else:
                words += ["--head", "--port=6379", "--num-cpus=0", "--include-dashboard=false"]
                words += ["--disable-usage-stats"]
            _RAY.mkdir(exist_ok=True)
            # What is mounted in here is seen in this namespace alone.
            script = f"mount -t tmpfs tmpfs {_RAY} && exec {' '.join(words)}"
            with self._log(host).open("wb") as log:
                self._blocks[host] = subprocess.Popen(
                    ["ip", "netns", "exec", self._namespace(host), "sh", "-c", script],
                    stdout=log, stderr=log, env=self._environment(host),
                )  # fmt: skip
            if not host:
                self._wait(host)
        for host in hosts:
            self._wait(host)

    def _wait(self, host: int) -> None:
        until = time.monotonic() + _SECONDS
        while b"Ray runtime started" not in self._log(host).read_bytes():
            assert self._blocks[host].poll() is None, self._log(host).read_text()
            assert time.monotonic() < until, self._log(host).read_text()
            time.sleep(0.2)

    def run(self, words: list[str], **options: Any) -> subprocess.Popen[str]:
        """A program on the head, in this working directory."""
        place = ["nsenter", f"--target={self._blocks[0].pid}", "--mount", "--net"]
        # Without it a program is started in the root of the file system.
        place += [f"--wdns={os.getcwd()}"]
        return subprocess.Popen(
            [*place, *words], env=self._environment(0), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options,
        )  # fmt: skip

    def workers(self, host: int) -> list[int]:
        """Processes of Ray that read chunks."""
        found = []
        for process in self._processes(host):
            words = Path(f"/proc/{process}/cmdline")
            if words.exists() and words.read_bytes().startswith(b"ray::read_chunk"):
                found.append(process)
        return found

    def kill(self, host: int) -> None:
        """End a machine at once."""
        while processes := self._processes(host):
            for process in processes:
                try:
                    os.kill(process, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            time.sleep(0.05)
        if host in self._blocks:
            self._blocks.pop(host).wait()

    def restart(self, host: int) -> None:
        """Have a machine begin anew, whatever became of it, its cable in."""
        self.kill(host)
        self.plug(host)
        self.start(host)

    def unplug(self, host: int) -> None:
        """Pull a machine's cable."""
        _ip("link", "set", self._cable(host), "down")

    def plug(self, host: int) -> None:
        """Put it back."""
        _ip("link", "set", self._cable(host), "up")

    def stop(self) -> None:
        """End all machines, and remove what they were."""
        for host in (*self.numbers, 0):
            self.kill(host)
            _ip("netns", "delete", self._namespace(host))
        _ip("link", "delete", self._short)

    def _processes(self, host: int) -> list[int]:
        return list(map(int, _ip("netns", "pids", self._namespace(host)).split()))

    def _namespace(self, host: int) -> str:
        return f"{self._short}-{host}"

    def _cable(self, host: int) -> str:
        return f"{self._short}v{host}"

    def _log(self, host: int) -> Path:
        return self._folder / f"host{host}.log"

    def _environment(self, host: int) -> dict[str, str]:
        return {
            **os.environ,
            "CXRDEX_KEY_FILE": str(self.key(host)),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": "cxrdex-tests-cxrdex-tests-cxrdex-tests",
            "RAY_grpc_client_keepalive_time_ms": "3000",
            "RAY_grpc_client_keepalive_timeout_ms": "3000",
            "RAY_worker_niceness": "0",
        }


def _ip(*words: str) -> str:
    return subprocess.run(["ip", *words], check=True, stdout=subprocess.PIPE, text=True).stdout
