"""Three nodes of Elasticsearch on loopback ports, with TLS between them, a login and API keys."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import trustme

from indexer.database.text.elasticsearch.settings import ElasticsearchSettings
from tests.elasticsearch_server import ElasticsearchServer, free_port, unavailable

__all__ = ["CLUSTER_VARIABLE", "SHARDS", "ElasticsearchCluster", "cluster_unavailable"]

#: Whether there is time for what takes a cluster.
CLUSTER_VARIABLE = "CXRDEX_TEST_CLUSTER"
#: Parts that an index of the cluster is cut into.
SHARDS = 3
_NODES = 3
# Not a name that the server keeps for itself.
_ADMIN = "admin"
_NEEDED = 4 << 30
_GREEN_SECONDS = 120


def cluster_unavailable() -> str | None:
    """Why no cluster is started here; None where one is."""
    if not os.environ.get(CLUSTER_VARIABLE):
        return f"three nodes of Elasticsearch are started where {CLUSTER_VARIABLE} is set"
    if reason := unavailable():
        return reason
    free = psutil.virtual_memory().available
    if free < _NEEDED:
        return (
            f"three nodes of Elasticsearch need {_NEEDED >> 30} GiB of memory, "
            f"and {free / 2**30:.1f} GiB are free"
        )
    return None


class ElasticsearchCluster:
    """Nodes that may each be master and hold data; every index has one replica.

    Attributes
    ----------
    nodes
        By name.
    """

    def __init__(self) -> None:
        authority = trustme.CA()
        certificate = authority.issue_cert("127.0.0.1")
        names = [f"node{number}" for number in range(1, _NODES + 1)]
        ports = {name: free_port() for name in names}
        self._password = secrets.token_urlsafe(12)
        self._folder = Path(tempfile.mkdtemp(prefix="cxrdex-cluster-"))
        self.ca_file = self._folder / "ca.pem"
        authority.cert_pem.write_to_path(str(self.ca_file))
        files = {
            "ca.pem": authority.cert_pem.bytes(),
            "node.key": certificate.private_key_pem.bytes(),
            "node.pem": b"".join(blob.bytes() for blob in certificate.cert_chain_pems),
        }
        tls = {"key": "node.key", "certificate": "node.pem", "certificate_authorities": ["ca.pem"]}
        secure = {
            f"xpack.security.{layer}.ssl.{name}": value
            for layer in ("http", "transport")
            for name, value in {**tls, "enabled": True}.items()
        }
        shared = {
            **secure,
            "discovery.type": None,
            "cluster.name": f"cxrdex-{secrets.token_hex(4)}",
            "cluster.initial_master_nodes": names,
            "discovery.seed_hosts": [f"127.0.0.1:{port}" for port in ports.values()],
        }
        self.nodes = {
            name: ElasticsearchServer(
                {**shared, "node.name": name, "transport.port": port},
                users={_ADMIN: self._password},
                files=files,
            )
            for name, port in ports.items()
        }

    def start(self) -> ElasticsearchCluster:
        """Start all nodes at once and wait until they are one; about 25 s on two cores."""
        for node in self.nodes.values():
            node.launch()
        try:
            for node in self.nodes.values():
                node.wait()
        except RuntimeError:
            self.stop()
            raise
        with self.admin() as client:
            client.cluster.health(wait_for_nodes=str(_NODES), timeout=f"{_GREEN_SECONDS}s")
            created = client.security.create_api_key(name="cxrdex", role_descriptors=_ROLE)
        self.api_key = str(created["encoded"])
        return self

    @property
    def url(self) -> str:
        """The addresses of all nodes, as a setting has them."""
        return ",".join(node.url for node in self.nodes.values())

    @property
    def settings(self) -> ElasticsearchSettings:
        """How cxrdex reaches it: by an API key with the privileges that it needs and no other."""
        urls = tuple(self.url.split(","))
        return ElasticsearchSettings(urls, self.api_key, ca_file=self.ca_file, shards=SHARDS)

    def configure(self, patch: pytest.MonkeyPatch) -> None:
        """Have the environment name it."""
        patch.setenv("CXRDEX_ELASTICSEARCH_URL", self.url)
        patch.setenv("CXRDEX_ELASTICSEARCH_API_KEY", self.api_key)
        patch.setenv("CXRDEX_ELASTICSEARCH_CA_FILE", str(self.ca_file))
        patch.setenv("CXRDEX_ELASTICSEARCH_SHARDS", str(SHARDS))

    @contextmanager
    def admin(self) -> Iterator[Any]:
        """A client of a superuser, which asks the nodes that run."""
        running = tuple(node.url for node in self.nodes.values() if node.runs)
        settings = ElasticsearchSettings(
            running, user=_ADMIN, password=self._password, ca_file=self.ca_file
        )
        client = settings.client(seconds=_GREEN_SECONDS)
        try:
            yield client
        finally:
            client.close()

    def master(self) -> str:
        """Name of the node that is master."""
        with self.admin() as client:
            found: str = client.cat.master(format="json")[0]["node"]
        return found

    def holders(self, index: str) -> set[str]:
        """Names of the nodes that hold a primary shard of an index or alias."""
        with self.admin() as client:
            shards = client.cat.shards(index=index, format="json")
        return {shard["node"] for shard in shards if shard["prirep"] == "p"}

    def wait_until_green(self) -> None:
        """Wait until every shard has its copy on another node again."""
        with self.admin() as client:
            client.cluster.health(
                wait_for_status="green", wait_for_nodes=str(_NODES), timeout=f"{_GREEN_SECONDS}s"
            )

    def stop(self) -> None:
        """End all nodes and remove all they wrote."""
        for node in self.nodes.values():
            node.stop()
        shutil.rmtree(self._folder, ignore_errors=True)


# The privileges that docs/elasticsearch.md names.
_ROLE = {
    "cxrdex": {
        "cluster": ["monitor", "manage_index_templates"],
        "indices": [{"names": ["cxrdex-*"], "privileges": ["manage", "read", "write"]}],
    }
}
