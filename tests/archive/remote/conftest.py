"""Buckets of a real S3 server."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.archive.remote.s3_server import KEY, SECRET, seaweedfs, serve_moto, serve_seaweedfs
from tests.pipeline.conftest import tiny

__all__ = ["Bucket", "tiny"]


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of an S3 server in a process of its own."""
    if program := seaweedfs():
        with serve_seaweedfs(program, tmp_path_factory.mktemp("s3")) as url:
            yield url
    else:
        pytest.importorskip("moto.server")
        with serve_moto() as url:
            yield url


@pytest.fixture
def s3(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """A client of the server; what cxrdex needs of it stands in the environment."""
    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    import boto3

    client = boto3.client("s3")
    name = f"films-{uuid.uuid4().hex}"
    client.create_bucket(Bucket=name)
    return Bucket(client, name)


class Bucket:
    """A bucket of the server, and who may write to it."""

    def __init__(self, client: Any, name: str) -> None:
        self.client, self.name = client, name

    def fill(self, folder: Path, prefix: str) -> str:
        """Upload a folder; gives its address."""
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                key = f"{prefix}/{path.relative_to(folder).as_posix()}"
                self.client.put_object(Bucket=self.name, Key=key, Body=path.read_bytes())
        return f"s3://{self.name}/{prefix}"
