"""Hours, cores, disk, memory, network and shards for an archive, and what breaks first.

Every number says whether it was measured at about this size, extrapolated from a measurement, or is
advice that nobody measured here; and which measurements are behind it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from indexer import advice
from indexer.errors import RequestError
from indexer.planning.answer import How, Limit, Number, Plan
from indexer.planning.measurements import Measurement, load_measurements

__all__ = ["DEFAULT_MIX", "ENCODINGS", "FULL_ROWS", "Limit", "Number", "Plan", "make_plan"]

#: Encodings by the names of `--modality-mix`; all are films of 2,000 x 2,500 pixels.
ENCODINGS = (
    "uncompressed", "jpeg2000", "jpeg2000-lossy", "jpeg-lossless", "jpeg-ls", "rle", "jpeg", "png",
)  # fmt: skip
#: Percent of the films; nobody has counted archives, so it is an example and no measurement.
DEFAULT_MIX: Mapping[str, float] = {"uncompressed": 50, "jpeg2000": 25, "jpeg-lossless": 25}

#: Vectors in a file of embeddings after compaction; a test compares it with the writer's.
FULL_ROWS = 65_536
# A size within this factor of the one measured counts as measured.
_NEAR = 1.5
_GB = 1e9
# Below the 50 GB that Elastic advises as the largest shard.
_SHARD_BYTES = 40e9
# Milliseconds from which a query feels slow.
_SLOW_MS = 1000.0
# The recall that `indexer.database.vectors.plan` asks of the vector index.
_RECALL = 0.99
#: The most that one index of Elasticsearch may have; a test compares it with the setting's.
MAX_SHARDS = 1024
# Encodings of which whole runs were measured (`benchmarks.index_run`).
_RUN = {"uncompressed", "jpeg2000", "jpeg-lossless"}
# Cores that one machine is taken to have at most.
_ONE_MACHINE = 64


def make_plan(
    images: int,
    mix: Mapping[str, float] | None = None,
    *,
    hours: float = 168.0,
    cores: int | None = None,
) -> Plan:
    """What an archive of this many chest films needs.

    Parameters
    ----------
    images
        How many there are.
    mix
        Percent of them by encoding (`ENCODINGS`), together 100; ``"other"`` is how many files that
        are no chest films there are for each hundred of them.
    hours
        In which the first run is to end; without a part where `cores` is given.
    cores
        How many there are.

    Raises
    ------
    RequestError
        The mix is of unknown encodings, or does not come to 100.
    """
    return _Planner(images, dict(mix or DEFAULT_MIX), hours, cores).plan()


class _Planner:
    def __init__(self, images: int, mix: dict[str, float], hours: float, cores: int | None) -> None:
        unknown = sorted(mix.keys() - {*ENCODINGS, "other"})
        if unknown:
            raise RequestError(
                f"no encoding is called {unknown[0]!r}: the mix takes {', '.join(ENCODINGS)}, other"
            )
        total = sum(share for name, share in mix.items() if name != "other")
        if abs(total - 100) > 0.5:
            raise RequestError(f"the encodings of the mix come to {total:g} percent, not to 100")
        self._images = images
        self._mix = mix
        self._hours = hours
        self._cores = cores
        self._known = load_measurements()
        self._numbers: list[Number] = []
        text = images * self._at("stored text").value
        beside = images * self._at("elasticsearch vector bytes").value
        slow = images * self._at("slowest elasticsearch").value / 1e6
        self._served = text + beside
        # Vectors a shard as in the measurement; larger shards were not measured.
        measured = self._at("elasticsearch vector recall").at or 0
        self._per_shard = measured / self._at("elasticsearch vector shards").value
        self._nodes = max(1, math.ceil(slow / _SLOW_MS))
        shards = max(math.ceil(self._served / _SHARD_BYTES), math.ceil(images / self._per_shard))
        # As many on each node, and one at least: a node without a shard answers nothing.
        self._shards = min(MAX_SHARDS, math.ceil(shards / self._nodes) * self._nodes)

    def _at(self, name: str) -> Measurement:
        return self._known[name]

    def _add(
        self, name: str, value: float, unit: str, *sources: str, how: How | None = None,
        note: str = "",
    ) -> float:  # fmt: skip
        """Enter a number that follows from measurements; how, where it goes by their sizes."""
        sizes = [self._at(source).at for source in sources]
        near = all(at is not None and 1 / _NEAR <= self._images / at <= _NEAR for at in sizes)
        known = how or ("measured" if near else "extrapolated")
        shown = tuple(self._at(source).source for source in sources)
        self._numbers.append(Number(name, _rounded(value), unit, known, shown, note))
        return value

    def plan(self) -> Plan:
        cores = self._time()
        self._disk()
        self._memory(cores)
        self._searching()
        limits = tuple(sorted(self._limits(), key=lambda limit: limit.images))
        return Plan(
            self._images, self._mix, tuple(self._numbers), limits, tuple(self._commands(cores))
        )

    def _weighted(self, figure: str) -> tuple[float, list[str]]:
        """Mean over the encodings of the mix, and the measurements it is of."""
        shares = {name: share for name, share in self._mix.items() if name != "other" and share}
        names = [f"{figure} {name}" for name in shares]
        values = (self._at(f"{figure} {name}").value * share for name, share in shares.items())
        return sum(values) / sum(shares.values()), names

    def _time(self) -> float:
        decode, decoded = self._weighted("decode")
        model = self._at("model").value
        spent = (decode + model) / self._at("efficiency").value
        other = self._mix.get("other", 0) / 100
        skipping = 1000 * 2 / self._at("skipping").value * other
        spent_by = [*decoded, "model", "efficiency", *(["skipping"] if other else [])]
        run = not other and {name for name, share in self._mix.items() if share} <= _RUN
        total = spent + skipping
        commit = self._at("commit").value
        fed = total / commit
        self._add(
            "core time per image",
            total,
            "core-ms",
            *spent_by,
            how="measured" if run else "extrapolated",
            note="decoding by the mix, model on the CPU, and what a run of 900 uncompressed "
            "films loses between them" + ("; and looking at other files" if other else ""),
        )
        self._add(
            "core time", self._images * total / 3.6e6, "core-hours", *spent_by, how="extrapolated"
        )
        self._add("cores that one driver feeds", fed, "cores", "commit", *spent_by,
                  how="extrapolated", note="core time of an image by what the driver took for one "
                  "on two cores and their disk")  # fmt: skip
        wanted = self._images * total / 3.6e6 / self._hours
        cores = float(self._cores) if self._cores else max(1.0, math.ceil(wanted))
        self._add(
            "cores",
            cores,
            "cores",
            *([] if self._cores else spent_by),
            how="asked" if self._cores else "extrapolated",
            note="" if self._cores else f"to end the first run in {self._hours:g} hours",
        )
        self._parts = max(1, math.ceil(cores / fed - 1e-9))
        rate = 1000 * cores / total
        self._add("rate", rate, "images/s", *spent_by, how="extrapolated",
                  note="all cores of the speed of those measured")  # fmt: skip
        for figure, what in (("remote whole", "whole run"), ("remote share", "rate of reading")):
            self._add(
                f"through Ray: {what} on the same two cores, by that without",
                self._at(figure).value,
                "times",
                figure,
                how="measured",
                note="the least of the rounds; three hosts on one machine, whose two cores "
                "were the bound of both",
            )
        self._add(
            "through Ray: rate of eight workers, by that of one",
            self._at("remote growth").value,
            "times",
            "remote growth",
            how="measured",
            note="two hosts, and a model of 100 ms that sleeps in the place of the real one",
        )
        self._add(
            "hours of the first run", self._images / rate / 3600, "h", *spent_by, how="extrapolated"
        )
        self._numbers.append(
            Number("drivers", self._parts, "runs side by side", "extrapolated",
                   (self._at("commit").source,),
                   f"each with a part of the archive, joined by {advice.MERGE}"
                   if self._parts > 1 else "")
        )  # fmt: skip
        files = self._images * (1 + other)
        self._add("run again, nothing changed", files / self._at("listing").value / 60, "min",
                  "listing")  # fmt: skip
        gpu = self._images * decode / self._at("efficiency").value / 3.6e6
        self._add(
            "core time, model on GPUs",
            gpu,
            "core-hours",
            *decoded,
            "efficiency",
            how="extrapolated",
            note="how many GPUs is not known: none was measured",
        )
        size, sized = self._weighted("bytes")
        self._add("archive", self._images * size / 1e12, "TB", *sized)
        self._add("read from the archive", rate * size / 1e6, "MB/s", *sized, how="extrapolated")
        stored = ("thumbnails", "embeddings", "ledger")
        back = sum(self._at(f"stored {part}").value for part in stored)
        self._add("sent by workers to drivers", rate * back / 1e6, "MB/s", "stored thumbnails",
                  "stored embeddings", "stored ledger", how="extrapolated",
                  note="reckoned as what the database keeps of an image; "
                  "what crosses a network was not measured")  # fmt: skip
        return cores

    def _disk(self) -> None:
        total = 0.0
        for part in ("ledger", "thumbnails", "embeddings", "vectors", "text"):
            bytes_ = self._images * self._at(f"stored {part}").value
            total += bytes_
            notes = {"vectors": "FAISS", "text": "the embedded store"}
            self._add(f"disk, {part}", bytes_ / _GB, "GB", f"stored {part}",
                      note=notes.get(part, ""))  # fmt: skip
        self._add("disk, database", total / _GB, "GB", *(f"stored {part}" for part in
                  ("ledger", "thumbnails", "embeddings", "vectors", "text")),
                  note="with words and vectors in its folder")  # fmt: skip
        self._add("disk, Elasticsearch, each copy", self._served / _GB, "GB", "stored text",
                  "elasticsearch vector bytes", how="extrapolated",
                  note="in the place of text and vectors there; words reckoned as in the embedded "
                  "store, vectors with their documents as measured")  # fmt: skip
        if self._parts > 1:
            self._add("disk, while parts are merged", 2 * total / _GB, "GB", "stored ledger",
                      "stored thumbnails", how="extrapolated")  # fmt: skip
        self._numbers.append(
            Number("shards in Elasticsearch", self._shards, "primary shards", "extrapolated",
                   tuple(self._at(name).source for name in
                         ("elasticsearch vector shards", "stored text", "slowest elasticsearch")),
                   f"of {self._per_shard:,.0f} vectors, as measured, and of 40 GB at most (Elastic "
                   f"advises up to 50); as many on each of {self._nodes:,} nodes")
        )  # fmt: skip
        self._add("files of embeddings", math.ceil(self._images / FULL_ROWS), "shards",
                  "stored embeddings", how="extrapolated",
                  note=f"{FULL_ROWS:,} vectors each, after compaction")  # fmt: skip

    def _memory(self, cores: float) -> None:
        most, growth = self._at("driver memory"), self._at("driver growth").value
        more = max(0.0, self._images / self._parts - (most.at or 0)) / 1e6
        self._add("memory of a driver while reading", most.value + growth * more, "MiB",
                  "driver memory", "driver growth", note="the most while a million files were "
                  f"read, and {growth:g} MiB for each million more")  # fmt: skip
        worker = self._at("worker memory").value
        self._add("memory of all decoding workers", cores * worker / 1024, "GiB",
                  "worker memory", how="extrapolated",
                  note="small pictures; --worker-memory bounds each at 2 GiB")  # fmt: skip
        at, build = self._nearest("building memory")
        grown = build.value * max(1.0, self._images / at) if self._images > at else build.value
        self._add(
            "memory to build the vector index",
            grown / 1024,
            "GiB",
            f"building memory {at}",
            note="FAISS; Elasticsearch needs no such step",
        )

    def _nearest(self, figure: str) -> tuple[int, Measurement]:
        """The measurement of the size that is nearest, by ratio."""
        found = {
            int(name.rpartition(" ")[2]): known
            for name, known in self._known.items()
            if name.startswith(f"{figure} ")
        }
        at = min(found, key=lambda size: abs(math.log(size / self._images)))
        return at, found[at]

    def _searching(self) -> None:
        at, recall = self._nearest("recall")
        self._add("similar images, recall@10", recall.value, "", f"recall {at}",
                  note="FAISS; where it is extrapolated, expect less")  # fmt: skip
        at, speed = self._nearest("similar")
        factor = max(1.0, self._images / at)
        self._add("similar images, p50", speed.value * factor, "ms", f"similar {at}")
        name = "elasticsearch vector recall"
        self._add(
            "similar images in Elasticsearch, recall@10",
            self._at(name).value,
            "",
            name,
            note="where it is extrapolated: as many vectors a shard as measured",
        )
        self._add("similar images in Elasticsearch, p50", self._at("elasticsearch vector p50").value
                  * max(1.0, self._images / self._nodes / 1e6), "ms", "elasticsearch vector p50",
                  "slowest elasticsearch",
                  note="the slowest of three rounds; nodes of two cores, of one size")  # fmt: skip
        for store in ("embedded", "elasticsearch"):
            slow = self._at(f"slowest {store}").value * self._images / 1e6
            self._add(f"slowest query by words, {store}, p50", slow, "ms", f"slowest {store}",
                      note="one node" if store == "elasticsearch" else "")  # fmt: skip
            if store == "elasticsearch":
                self._add("nodes of Elasticsearch, so that it takes a second",
                          self._nodes, "nodes", f"slowest {store}",
                          how="extrapolated", note="of two cores, evenly filled")  # fmt: skip
            hours = self._images / self._at(f"loading {store}").value / 3600
            self._add(f"filling the text store anew, {store}", hours, "h", f"loading {store}")

    def _too_many_for_faiss(self) -> list[int]:
        """Sizes measured at which an index of FAISS finds too few."""
        sizes = (10**4, 10**5, 10**6, 10**7)
        return [at for at in sizes if self._at(f"recall {at}").value < _RECALL]

    def _limits(self) -> list[Limit]:
        embedded, served = self._at("slowest embedded"), self._at("slowest elasticsearch")
        build, commit = self._at("building memory 10000000"), self._at("commit")
        served_recall = self._at("elasticsearch vector recall")
        limits = [
            Limit(
                f"recall of similar images falls under {_RECALL:g} in one FAISS index", at,
                "measured", (self._at(f"recall {at}").source, served_recall.source),
                f"--vector-store elasticsearch, {self._per_shard:,.0f} vectors a shard "
                f"(CXRDEX_ELASTICSEARCH_SHARDS): recall@10 of {served_recall.value:g} at a million",
            )
            for at in self._too_many_for_faiss()[:1]
        ]  # fmt: skip
        return [
            *limits,
            Limit(
                "the slowest kind of query by words takes a second in the embedded index",
                1e6 * _SLOW_MS / embedded.value, "extrapolated", (embedded.source,),
                "--text-store elasticsearch, a shard at least on each of several nodes "
                "(CXRDEX_ELASTICSEARCH_SHARDS); a node of two cores "
                f"takes a second at {_rounded(1e6 * _SLOW_MS / served.value):,.0f} images",
            ),
            Limit(
                "one driver commits no more in a day", 1000 * 86_400 / commit.value,
                "extrapolated", (commit.source,),
                f"more days, or parts on several drivers and {advice.MERGE}",
            ),
            Limit(
                "building the vector index needs over 32 GiB of memory",
                1e7 * 32 * 1024 / build.value, "extrapolated", (build.source,),
                "--vector-store elasticsearch, or a machine with more memory for the last step",
            ),
            Limit(
                f"one index of Elasticsearch has no more than {MAX_SHARDS:,} shards",
                MAX_SHARDS * self._per_shard, "advice",
                (self._at("elasticsearch vector shards").source,),
                "several databases, searched one by one; larger shards were not measured",
            ),
        ]  # fmt: skip

    def _commands(self, cores: float) -> list[str]:
        slow = self._images * self._at("slowest embedded").value / 1e6 > _SLOW_MS
        served = any(at <= self._images for at in self._too_many_for_faiss())
        store, first = "", []
        if slow or served:
            store = " --text-store elasticsearch --elasticsearch-url URL"
            first = [f"export CXRDEX_ELASTICSEARCH_SHARDS={self._shards}"]
        if served:
            store += " --vector-store elasticsearch"
        if self._parts == 1:
            one = cores <= _ONE_MACHINE
            where = f" --workers {cores:.0f}" if one else " --on ray://HOST:PORT"
            return [*first, f"cxrdex index ARCHIVE --database DB{where}{store}"]
        each = math.ceil(cores / self._parts)
        return [
            f"cxrdex index PART-n --database DB-n --on ray://HOST-n:PORT --text-store embedded"
            f"    # {self._parts} parts, {each} cores each",
            *first,
            f"cxrdex merge DB-1 ... DB-{self._parts} --database DB{store}",
            "cxrdex verify --database DB",
        ]


def _rounded(value: float) -> float:
    """Three digits that count."""
    if value == 0 or not math.isfinite(value):
        return value
    return round(value, max(0, 2 - math.floor(math.log10(abs(value)))))
