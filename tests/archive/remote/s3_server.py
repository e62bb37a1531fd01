"""An S3 server on loopback: SeaweedFS where it is installed, else moto, which imitates Amazon's."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.elasticsearch_server import free_port

__all__ = ["KEY", "SECRET", "seaweedfs", "serve_moto", "serve_seaweedfs"]

KEY, SECRET = "AKIAEXAMPLE", "wJalrXUtnFEMI-not-a-real-one"
_START_SECONDS = 120.0
_PARTS = ("master", "volume", "filer", "s3")


def seaweedfs() -> str | None:
    """Where its program is: on the path, or beside this Python, as its package puts it there."""
    return shutil.which("weed") or shutil.which("weed", path=str(Path(sys.executable).parent))


@contextmanager
def serve_seaweedfs(program: str, folder: Path) -> Iterator[str]:
    """Address of a server that knows one login, in a process of its own.

    Parameters
    ----------
    folder
        For what it stores and prints.
    """
    login = {"accessKey": KEY, "secretKey": SECRET}
    actions = ["Admin", "Read", "List", "Tagging", "Write"]
    users = {"identities": [{"name": "tests", "credentials": [login], "actions": actions}]}
    (folder / "users.json").write_text(json.dumps(users))
    (folder / "data").mkdir()
    ports = {f"{part}.port{kind}": free_port() for part in _PARTS for kind in ("", ".grpc")}
    options = {
        "dir": folder / "data", "ip": "127.0.0.1", "ip.bind": "127.0.0.1", "s3": "true",
        "s3.config": folder / "users.json", "s3.iam": "false", "s3.port.iceberg": 0,
        "s3.port.lance": 0, "filer.localSocket": folder / "filer", "s3.localSocket": folder / "s3",
        "master.volumeSizeLimitMB": 64, "volume.max": 50, **ports,
        # Else it tells its makers each day how it is used.
        "master.telemetry": "false",
    }  # fmt: skip
    command = [program, "server", *(f"-{name}={value}" for name, value in options.items())]
    with (folder / "output.log").open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env={**os.environ, "TMPDIR": str(folder)}
        )
    url = f"http://127.0.0.1:{ports['s3.port']}"
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not _is_ready(url):
            log = (folder / "output.log").read_text(errors="replace")[-4000:]
            assert process.poll() is None, log
            assert time.monotonic() < deadline, log
            time.sleep(0.1)
        yield url
    finally:
        # Ended in order it would wait 15 s for connections that nobody uses.
        process.kill()
        process.wait()
        for part in _PARTS:
            port = ports[f"{part}.port.grpc"]
            Path(f"/tmp/seaweedfs-{part}-grpc-{port}.sock").unlink(missing_ok=True)


def _is_ready(url: str) -> bool:
    """Whether it answers, be it that it wants a login."""
    with suppress(OSError):
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except urllib.error.HTTPError as error:
            return error.code == 403
        return True
    return False


@contextmanager
def serve_moto() -> Iterator[str]:
    """Address of a server that takes every login, in a process of its own."""
    code = (
        "from moto.server import ThreadedMotoServer; import sys\n"
        "server = ThreadedMotoServer(ip_address='127.0.0.1', port=0, verbose=False)\n"
        "server.start(); print(server.get_host_and_port()[1], flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.terminate()
