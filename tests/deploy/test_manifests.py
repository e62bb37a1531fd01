"""The compose file and the manifests for Kubernetes: what they must say, and their schemas."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.yml"
MANIFESTS = sorted((ROOT / "deploy" / "kubernetes").glob("*.yaml"))
#: Folder of the schemas, which docs/cluster.md says how to fetch.
SCHEMAS = os.environ.get("CXRDEX_TEST_SCHEMAS")
needs_schemas = pytest.mark.skipif(not SCHEMAS, reason="CXRDEX_TEST_SCHEMAS names no folder")


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return found


def objects() -> Iterator[dict[str, Any]]:
    for path in MANIFESTS:
        yield from yaml.safe_load_all(path.read_text())


def of_kind(kind: str) -> dict[str, Any]:
    return next(found for found in objects() if found["kind"] == kind)


def pinned(package: str) -> str:
    found = re.search(rf"^{package}==(\S+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def test_without_a_profile_there_is_one_node() -> None:
    services = compose()["services"]
    assert [name for name, service in services.items() if "profiles" not in service] == [
        "elasticsearch",
        "page",
    ]
    cluster = {name for name, service in services.items() if service.get("profiles") == ["cluster"]}
    assert cluster == {"certificates", "es01", "es02", "es03", "ray-head", "ray-worker"}


def test_ports_are_of_this_machine_alone_and_secrets_of_the_environment() -> None:
    for name, service in compose()["services"].items():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), name
        for key, value in service.get("environment", {}).items():
            if "PASSWORD" in key or "TOKEN" in key:
                assert value.startswith("${"), (name, key)


def test_nodes_are_of_one_version_and_one_cluster() -> None:
    services = compose()["services"]
    images = {s["image"] for s in services.values() if "elasticsearch" in s.get("image", "")}
    assert len(images) == 1
    version = images.pop().partition(":")[2]
    assert of_kind("Elasticsearch")["spec"]["version"] == version
    for node in ("es01", "es02", "es03"):
        settings = services[node]["environment"]
        assert settings["node.name"] == node
        assert node in settings["discovery.seed_hosts"]
        # By default the server maps more files than vm.max_map_count of many machines allows.
        assert settings["node.store.allow_mmap"] == "false"
        assert settings["cluster.initial_master_nodes"] == settings["discovery.seed_hosts"]
        assert settings["xpack.security.transport.ssl.certificate"] == f"certs/{node}/{node}.crt"
        assert node in services["ray-head"]["environment"]["CXRDEX_ELASTICSEARCH_URL"]


def test_ray_is_the_one_that_is_tested() -> None:
    spec = of_kind("RayCluster")["spec"]
    assert spec["rayVersion"] == pinned("ray")
    groups = [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
    assert spec["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    for group in groups:
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        names = {entry["name"] for entry in container["env"]}
        assert {"CXRDEX_KEY_FILE", "RAY_AUTH_TOKEN", "RAY_grpc_client_keepalive_time_ms"} <= names
        for entry in container["env"]:
            if "TOKEN" in entry["name"] or "PASSWORD" in entry["name"]:
                assert "secretKeyRef" in entry["valueFrom"]
        # Those of the operator would want wget and Ray's dashboard, which the image has not.
        for probe in ("readinessProbe", "livenessProbe"):
            port = container[probe]["tcpSocket"]["port"]
            assert str(port) == group["rayStartParams"]["node-manager-port"]
        # The same archive at the same path, and a key that its owner alone can read.
        mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
        assert mounts["archive"]["mountPath"] == "/archive"
        assert "--mode=0400" in pod["initContainers"][0]["command"]
        assert mounts.keys() <= {volume["name"] for volume in pod["volumes"]}


def closed(schema: Any) -> Any:
    """A schema of Kubernetes in which an unknown field is an error, as for the API server."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: closed(value) for key, value in schema.items()}
    if made.pop("x-kubernetes-int-or-string", False):
        return {"type": ["integer", "string"]}
    keeps = made.get("x-kubernetes-preserve-unknown-fields")
    if isinstance(made.get("properties"), dict) and made.get("type") == "object" and not keeps:
        made.setdefault("additionalProperties", False)
    return made


@needs_schemas
@pytest.mark.parametrize(
    ("kind", "file"),
    [
        ("Elasticsearch", "elasticsearch.k8s.elastic.co_elasticsearches.yaml"),
        ("RayCluster", "ray.io_rayclusters.yaml"),
    ],
)
def test_the_schema_of_a_custom_resource(kind: str, file: str) -> None:
    crd = yaml.load((Path(SCHEMAS or "") / file).read_text(), yaml.CSafeLoader)
    made = of_kind(kind)
    version = made["apiVersion"].partition("/")[2]
    (found,) = (v for v in crd["spec"]["versions"] if v["name"] == version)
    schema = closed(found["schema"]["openAPIV3Schema"])
    schema["properties"]["metadata"] = {"type": "object"}
    jsonschema.Draft4Validator(schema).validate(made)
    # The check is none if it lets pass what is wrong.
    broken = json.loads(json.dumps(made))
    broken["spec"]["nodeSetz"] = []
    assert not jsonschema.Draft4Validator(schema).is_valid(broken)


@needs_schemas
def test_the_schema_of_compose() -> None:
    schema = json.loads((Path(SCHEMAS or "") / "compose-spec.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(compose())
    broken = compose()
    broken["services"]["es01"]["portz"] = []
    assert not jsonschema.Draft202012Validator(schema).is_valid(broken)
