"""Labels over the REST API, and how soon and how far they hold."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from indexer.database.reader import DatabaseReader
from indexer.database.upkeep.verify import verify
from search.web.people.person import Role
from tests.pipeline.making import write_pictures
from tests.search.web.review.conftest import Judged

NOWHERE = "0" * 16


def pending_labels(path: Path) -> int:
    """How many events the documents of a database do not tell yet."""
    with DatabaseReader.open(path) as database:
        file = database.labels()
        return 0 if file is None else len(file.labels.since(database.ledger.labels.newest))


def present(finding: str, *words: str) -> dict[str, Any]:
    return {"finding": finding, "verdict": "present", "words": [*words]}


def absent(finding: str) -> dict[str, Any]:
    return {"finding": finding, "verdict": "absent"}


def origins(judged: Judged, image: str, finding: str) -> list[str]:
    document = judged.client.get(f"/v1/images/{image}").json()
    return [a["origin"] for a in document["annotations"] if a["disease"] == finding]


def test_accepted_rejected_and_withdrawn(judged: Judged) -> None:
    image, finding = judged.predicted()
    before, tag = judged.labels(image)
    assert (before, tag) == ({"image": image, "labels": [], "history": []}, '"0"')
    query = f'disease:"{finding}"'
    assert image in judged.found(query)

    answer = judged.put(image, present(finding))
    assert answer.status_code == 200, answer.text
    assert [label["person"] for label in answer.json()["labels"]] == ["local"]
    assert answer.json()["history"][-1]["action"] == "accept"
    assert answer.headers["etag"] == judged.labels(image)[1] != tag
    assert origins(judged, image, finding) == ["human"]
    judged.until(lambda: image in judged.found(f"{query} AND origin:human"))
    assert image not in judged.found(f"{query} AND origin:predicted")

    assert judged.put(image, absent(finding)).status_code == 200
    shown = judged.client.get(f"/v1/images/{image}").json()
    assert [a["text"] for a in shown["absent"]] == [finding]
    judged.until(lambda: image in judged.found(f'absent:"{finding}"'))
    assert image not in judged.found(query)
    counts = judged.client.get("/v1/facets", params={"facet": "absent"}).json()["facets"]["absent"]
    assert finding in {count["value"] for count in counts}

    assert judged.put(image).status_code == 200
    assert [e["action"] for e in judged.labels(image)[0]["history"]] == [
        "accept", "reject", "withdraw",
    ]  # fmt: skip
    assert origins(judged, image, finding) == ["predicted"]
    judged.until(lambda: image in judged.found(f"{query} AND origin:predicted"))


def test_the_same_labels_again_are_no_event(judged: Judged) -> None:
    image, finding = judged.predicted()
    first = judged.put(image, present(finding, "left"), absent("goiter"))
    again = judged.put(image, absent("goiter"), present(finding, "left"))
    assert again.headers["etag"] == first.headers["etag"]
    assert again.json() == first.json()
    judged.put(image)


@pytest.mark.parametrize(
    ("tag", "status"), [("", 428), ('"999"', 412), ('W/"0"', 412), ("nonsense", 412), ("*", 200)]
)
def test_the_tag_must_fit(judged: Judged, tag: str, status: int) -> None:
    image, _ = judged.predicted()
    before, now = judged.labels(image)
    answer = judged.put(image, absent("hernia, hiatal"), tag=tag)
    assert answer.status_code == status, answer.text
    if status != 200:
        assert answer.headers["content-type"] == "application/problem+json"
        assert judged.labels(image) == (before, now)


@pytest.mark.parametrize(
    ("labels", "status", "told"),
    [
        ([present("cardiomegalie")], 400, "cardiomegaly"),
        ([present("enlarged heart")], 400, "cardiomegaly"),
        ([present("mass", "lefft")], 400, "left"),
        ([present("mass"), absent("Mass")], 400, "twice"),
        ([{"finding": "mass", "verdict": "maybe"}], 422, "verdict"),
        ([{"finding": "mass", "verdict": "absent", "colour": "red"}], 422, "colour"),
        ([present("")], 422, "finding"),
    ],
)
def test_what_is_wrong_is_named(
    judged: Judged, labels: list[dict[str, Any]], status: int, told: str
) -> None:
    image, _ = judged.predicted()
    answer = judged.put(image, *labels)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert told in answer.text


def test_an_image_that_is_not_there(judged: Judged) -> None:
    assert judged.client.get(f"/v1/images/{NOWHERE}/labels").status_code == 404
    assert judged.put(NOWHERE, absent("mass"), tag='"0"').status_code == 404


def test_only_reviewers_change(judged: Judged, as_role: Callable[[Role], None]) -> None:
    image, _ = judged.predicted()
    _, tag = judged.labels(image)
    as_role("reader")
    assert judged.put(image, absent("mass"), tag=tag).status_code == 403
    assert judged.labels(image)[1] == tag
    as_role("reviewer")
    answer = judged.put(image, absent("mass"), tag=tag)
    assert {label["person"] for label in answer.json()["labels"]} == {"ann"}


def test_two_at_once_do_not_overwrite_each_other(judged: Judged) -> None:
    image, _ = judged.predicted()
    _, tag = judged.labels(image)
    assert judged.put(image, absent("goiter"), tag=tag).status_code == 200
    answer = judged.put(image, absent("obesity"), tag=tag)
    assert answer.status_code == 412
    assert "read them again" in answer.json()["detail"]


def test_its_interface_is_described(judged: Judged) -> None:
    described = judged.client.get("/v1/openapi.json").json()
    path = described["paths"]["/v1/images/{image_id}/labels"]
    assert {"200", "400", "401", "403", "404", "412", "428"} <= set(path["put"]["responses"])
    assert "if-match" in {p["name"].lower() for p in path["put"]["parameters"]}
    assert "ETag" in path["get"]["responses"]["200"]["headers"]


_RUN = """
import sys
from pathlib import Path
from indexer.pipeline.options import FileProcessing
from indexer.pipeline.run import index

def stop_once(progress):
    if not seen:
        seen.append(progress)
        print("held", flush=True)
        sys.stdin.readline()

seen = []
if __name__ == "__main__":
    index([Path(sys.argv[1])], Path(sys.argv[2]), processing=FileProcessing(workers=1),
        progress=stop_once)
"""


def test_people_correct_while_a_run_writes(judged: Judged, tmp_path: Path) -> None:
    archive = write_pictures(tmp_path / "more", 2, first=900)
    script = tmp_path / "run.py"
    script.write_text(_RUN)
    image, finding = judged.predicted()
    judged.until(lambda: pending_labels(judged.path) == 0)
    with subprocess.Popen(
        [sys.executable, str(script), str(archive), str(judged.path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    ) as run:  # fmt: skip
        assert run.stdout is not None
        assert run.stdout.readline() == "held\n"
        assert judged.put(image, absent(finding)).status_code == 200
        # Seen at once, and kept, though the run holds the writer's lock.
        shown = judged.client.get(f"/v1/images/{image}").json()
        assert finding in {a["text"] for a in shown["absent"]}
        assert pending_labels(judged.path) > 0
        assert image in judged.found(f'disease:"{finding}"')
        run.communicate("\n", timeout=120)
        assert run.returncode == 0
    judged.until(lambda: image in judged.found(f'absent:"{finding}"'))
    assert image not in judged.found(f'disease:"{finding}"')
    judged.until(lambda: pending_labels(judged.path) == 0)
    assert verify(judged.path) == []
    with DatabaseReader.open(judged.path) as database:
        last = database.last_run()
        assert last is not None
        assert last.state == "complete"
