"""Hits say whether the bundle was trained on them, where its record names its films."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from click.testing import Result

from indexer.cascade.trained_on import compressed
from tests.pipeline.making import make_bundle, write_pictures

Ask: TypeAlias = Callable[..., Any]
Run: TypeAlias = Callable[..., Result]

MARK = "the bundle was trained on it"


@pytest.mark.parametrize(
    ("record", "trained"),
    [
        ({"trained_on": compressed(["000", "elsewhere/002.dcm", "other"])}, {"000.png", "002.png"}),
        ({}, None),
    ],
    ids=["told", "not told"],
)
def test_what_the_bundle_was_trained_on_is_marked(
    run: Run, ask: Ask, tmp_path: Path, record: dict[str, str], trained: set[str] | None
) -> None:
    archive = write_pictures(tmp_path / "archive", 4)
    bundle = make_bundle(tmp_path / "tiny", record=record)
    at = ("--database", tmp_path / "db")
    ask("index", archive, *at, "--bundle", bundle.path, "--quiet")
    words = ("search", "*", "--images", *at)
    names = {}
    for hit in ask(*words)["hits"]:
        (source,) = ask("show", hit["id"], "--source", *at)["sources"]
        names[hit["id"]] = source["name"]
    assert {*names.values()} == {f"{number:03d}.png" for number in range(4)}
    for kind in (words, ("similar", next(iter(names)), "--include-unusual", *at)):
        hits = ask(*kind)["hits"]
        assert len(hits) >= 3
        expected = {image: None if trained is None else n in trained for image, n in names.items()}
        assert {hit["id"]: hit["in_sample"] for hit in hits} == {
            hit["id"]: expected[hit["id"]] for hit in hits
        }
        lines = run(*kind).stdout.splitlines()
        for hit in hits:
            (line,) = (line for line in lines if hit["id"] in line)
            assert (MARK in line) == (hit["in_sample"] is True), line
