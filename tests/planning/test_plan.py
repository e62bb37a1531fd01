"""A plan reckons with what was measured, and says so."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks import committer, figures
from cli.main import cxrdex
from docs import scaling
from indexer.database.text.elasticsearch import settings
from indexer.database.writing import compaction
from indexer.errors import RequestError
from indexer.planning.measurements import load_measurements
from indexer.planning.plan import DEFAULT_MIX, ENCODINGS, FULL_ROWS, MAX_SHARDS, make_plan

ROOT = Path(__file__).parents[2]


def test_the_figures_are_those_of_the_results() -> None:
    assert figures.TARGET.read_text() == figures.figures(), "run `python -m benchmarks.figures`"
    for known in load_measurements().values():
        file, _, fields = known.source.partition(": ")
        result = json.loads((ROOT / file).read_text())
        if not fields.startswith("("):
            for field in fields.split("/"):
                result = result[int(field) if isinstance(result, list) else field]
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
        if number.how in ("measured", "extrapolated"):
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

    for plan in (make_plan(10**6, {"uncompressed": 100}), make_plan(10**6)):
        assert plan["core time per image"].how == "measured"
    assert make_plan(10**6, {"rle": 100})["core time per image"].how == "extrapolated"
    assert beside["core time per image"].how == "extrapolated"
    for name in ("core time per image", "core time", "cores", "rate", "hours of the first run"):
        assert any("first/files_per_second" in source for source in beside[name].sources), name
        assert not any("scale.json" in source for source in make_plan(10**6)[name].sources), name


@pytest.mark.parametrize("images", [1000, 10**6, 3 * 10**6, 10**7, 4 * 10**7, 10**8, 3 * 10**8])
@pytest.mark.parametrize("hours", [2, 168, 10_000])
def test_numbers_advice_and_commands_agree(images: int, hours: float) -> None:
    plan = make_plan(images, hours=hours)
    shards = plan["shards in Elasticsearch"].value
    nodes = plan["nodes of Elasticsearch, so that it takes a second"].value
    # A node without a shard answers nothing, and one with more than others keeps them waiting.
    assert shards >= nodes
    assert shards == MAX_SHARDS or shards % nodes == 0
    assert images / shards <= 10**6 / 3
    (faiss,) = (limit for limit in plan.limits if "FAISS" in limit.what)
    made = [c for c in plan.commands if "index ARCHIVE" in c or c.startswith("cxrdex merge")]
    assert len(made) == 1
    assert "--vector-store elasticsearch" in faiss.advice
    assert ("--vector-store elasticsearch" in made[0]) == (images >= faiss.images)
    told = f"export CXRDEX_ELASTICSEARCH_SHARDS={shards:.0f}"
    assert (told in plan.commands) == ("--text-store elasticsearch" in made[0])
    if told in plan.commands:
        assert plan.commands.index(told) < plan.commands.index(made[0])


def test_what_is_said_twice_is_said_alike() -> None:
    assert (FULL_ROWS, MAX_SHARDS) == (compaction._FULL_ROWS, settings._MAX_SHARDS)
    kept = {name: json.loads((ROOT / f"benchmarks/results/{name}.json").read_text())
            for name in ("committer", "scale")}  # fmt: skip
    larger = max(
        kept["scale"]["runs"]["1000000"]["first"]["peak_rss_reading_mib"],
        *(step["rss_mib"] for step in kept["committer"]["steps"]),
    )
    assert load_measurements()["driver memory"].value == larger


def test_what_limits_a_driver_is_the_core_that_is_full() -> None:
    kept = json.loads((ROOT / "benchmarks/results/committer.json").read_text())
    assert kept["driver_core_ms"] == max(kept["process_core_ms"], kept["text_process_core_ms"])
    assert kept["driver_ms"] == pytest.approx(1000 / kept["rows_per_second"], abs=1e-3)
    assert load_measurements()["commit"].value == kept["driver_ms"]
    threads, busy = {"main": 2.0, "commit": 7.5}, {"commit": 9.0, "send": 4.0}
    told = committer.limited_by(9.5, 10.0, threads, busy, 8.0)
    assert "one core of the process, used to 95%" in told
    assert "79%, is the thread 'commit'" in told
    assert "process that writes words, which used 98%" in committer.limited_by(
        9.5, 10.0, threads, busy, 9.8
    )
    assert "no core" in committer.limited_by(5.0, 10.0, threads, busy, 8.0)


def test_memory_of_a_driver_grows_as_it_was_measured_to() -> None:
    steps = json.loads((ROOT / "benchmarks/results/committer.json").read_text())["steps"]
    known = load_measurements()
    begun, ended = steps[len(steps) // 2], steps[-1]
    millions = (ended["files"] - begun["files"]) / 1e6
    growth = known["driver growth"].value
    assert growth == pytest.approx((ended["rss_mib"] - begun["rss_mib"]) / millions, abs=0.05)
    name, most = "memory of a driver while reading", known["driver memory"].value
    for images in (1000, 10**6):
        assert make_plan(images)[name].value == pytest.approx(most, rel=0.005)
    assert make_plan(10**7)[name].value == pytest.approx(most + 9 * growth, rel=0.005)
    # Each of several drivers has its part of the archive.
    many = make_plan(10**8, hours=2)
    each = 100 / many["drivers"].value - 1
    assert many[name].value == pytest.approx(most + each * growth, rel=0.005)
    assert len(many[name].sources) == 2


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
        ["--images", "9" * 400], ["--images", "1M", "--hours", "nan"],
        ["--images", "1M", "--modality-mix", "rle=60,rle=100"],
    ):  # fmt: skip
        assert run(cxrdex, ["plan", *words]).exit_code == 2, words
    assert run(cxrdex, ["plan", "--images", "1B", "--json"]).output.count("1000000000,")
