"""A plan reckons with what was measured, and says so."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks import figures
from cli.main import cxrdex
from docs import scaling
from indexer.errors import RequestError
from indexer.planning.measurements import load_measurements
from indexer.planning.plan import DEFAULT_MIX, ENCODINGS, make_plan

ROOT = Path(__file__).parents[2]


def test_the_figures_are_those_of_the_results() -> None:
    assert figures.TARGET.read_text() == figures.figures(), "run `python -m benchmarks.figures`"
    for known in load_measurements().values():
        file, _, fields = known.source.partition(": ")
        result = json.loads((ROOT / file).read_text())
        if not fields.startswith("("):
            for field in fields.split("/"):
                result = result[field]
            assert result == known.value


def test_the_page_is_what_the_planner_says() -> None:
    page = scaling.TARGET.read_text(encoding="utf-8")
    assert scaling.render(page) == page, "run `python -m docs.scaling`"


@pytest.mark.parametrize("images", [1, 1000, 10**6, 10**7, 10**8, 10**10])
def test_every_number_says_where_it_comes_from(images: int) -> None:
    plan = make_plan(images)
    known = {measured.source for measured in load_measurements().values()}
    for number in plan.numbers:
        assert math.isfinite(number.value), number.name
        assert number.value >= 0
        assert set(number.sources) <= known
        if number.how in ("measured", "extrapolated") and number.name != "cores":
            assert number.sources, number.name
    assert [limit.images for limit in plan.limits] == sorted(limit.images for limit in plan.limits)
    assert all(set(limit.sources) <= known and limit.advice for limit in plan.limits)
    assert plan.commands


def test_numbers_grow_with_the_archive() -> None:
    small, large = make_plan(10**6), make_plan(10**8)
    for name in ("core time", "disk, database", "disk, ledger", "archive"):
        assert large[name].value == pytest.approx(100 * small[name].value, rel=0.02), name
    assert small["memory of a driver while reading"].how == "measured"
    assert small["similar images, p50"].how == "measured"
    assert large["similar images, p50"].how == "extrapolated"
    assert large["shards in Elasticsearch"].value > small["shards in Elasticsearch"].value
    assert "elasticsearch" in " ".join(large.commands)
    assert "elasticsearch" not in " ".join(small.commands)


def test_hours_and_cores() -> None:
    week, day = make_plan(10**7), make_plan(10**7, hours=24)
    assert day["cores"].value == pytest.approx(7 * week["cores"].value, rel=0.2)
    assert week["hours of the first run"].value <= 168
    given = make_plan(10**7, cores=64)
    assert (given["cores"].value, given["cores"].how) == (64, "asked")
    assert given["hours of the first run"].value == pytest.approx(
        given["core time"].value / 64, rel=0.02
    )
    # More cores than one driver feeds: parts, which are merged.
    many = make_plan(10**8, hours=2)
    assert many["drivers"].value > 1
    assert any(command.startswith("cxrdex merge") for command in many.commands)


def test_the_mix_counts() -> None:
    slow, quick = make_plan(10**6, {"jpeg-ls": 100}), make_plan(10**6, {"uncompressed": 100})
    assert slow["core time"].value > 2 * quick["core time"].value
    assert slow["archive"].value < quick["archive"].value
    beside = make_plan(10**6, {**DEFAULT_MIX, "other": 1900})
    assert beside["core time"].value > make_plan(10**6)["core time"].value
    for encoding in ENCODINGS:
        make_plan(10**6, {encoding: 100})
    with pytest.raises(RequestError, match="no encoding is called 'dicom'"):
        make_plan(10**6, {"dicom": 100})
    with pytest.raises(RequestError, match="come to 60 percent"):
        make_plan(10**6, {"rle": 60})


def test_the_command() -> None:
    run = CliRunner().invoke
    told = json.loads(run(cxrdex, ["plan", "--images", "100M", "--json"]).output)
    assert told["images"] == 100_000_000
    assert told["numbers"][0]["how"] == "measured"
    shown = run(cxrdex, ["plan", "--images", "1.5k", "--modality-mix", "png=50,rle=50"])
    assert (shown.exit_code, shown.output[:18]) == (0, "1,500 chest films ")
    assert "benchmarks/results/decoding.json: files/RLE, 12 bits/core_ms" in shown.output
    for words in (
        ["--images", "many"], ["--images", "0"], ["--images", "1M", "--modality-mix", "rle"],
        ["--images", "1M", "--modality-mix", "rle=70"], ["--images", "1M", "--hours", "0"],
    ):  # fmt: skip
        assert run(cxrdex, ["plan", *words]).exit_code == 2
