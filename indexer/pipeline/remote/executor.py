"""Files read by the tasks of a Ray cluster, a chunk at a time, and answered in order.

A chunk is pure: reading it twice gives the same. So a chunk that was lost is read again, one that
is overdue is read by another host as well, and the first answer counts (docs/adr/0035).
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from indexer.database.outcomes import Outcome
from indexer.errors import ClusterError, CxrdexError
from indexer.pipeline.executor import FileTask
from indexer.pipeline.remote.chunks import Chunk, ChunkDeadline, chunk_size, chunks
from indexer.pipeline.remote.cluster import Cluster, Share
from indexer.pipeline.remote.host import Answer, HostAddress, HostSettings, read_chunk
from indexer.pipeline.stages.meters import Meter, StageUse

__all__ = ["RayExecutor"]

_log = logging.getLogger(__name__)

_POLL = 0.2
# Seconds after which the machines of the cluster are counted again.
_COUNT_SECONDS = 5.0
# Chunks handed out for each place that reads them, and at least in all, so that no place waits for
# the driver.
_AHEAD, _MIN_AHEAD = 3, 8
# A run is given up when this many hosts in a row ended before they were ready to read.
_MAX_FAILED_STARTS = 12


@dataclass(slots=True, eq=False)
class _Attempt:
    """A chunk on its way: a stream of where it runs, that it has begun, and the answer."""

    chunk: Chunk
    stream: Any
    since: float
    #: Results of the stream, to be fetched once they are known.
    next: Any = None
    where: HostAddress | None = None
    begun: bool = False


@dataclass(slots=True)
class _HostUse:
    """What a host did, in seconds."""

    workers: int
    chunks: float = 0.0
    decoding: float = 0.0
    predicting: float = 0.0


@dataclass(slots=True)
class _Places:
    """How many chunks are read side by side, counted now and then: machines come and go."""

    cluster: Cluster
    share: Share
    counted: float = field(default=-_COUNT_SECONDS)
    count: int = 0
    cores: int = 0
    #: Places by Ray's id of the machine.
    by_node: dict[str, int] = field(default_factory=dict)

    def now(self) -> int:
        if time.monotonic() - self.counted >= _COUNT_SECONDS:
            nodes = self.cluster.nodes()
            self.counted, self.count = time.monotonic(), self.share.places(nodes)
            self.cores = max(self.cores, sum(node.cpus for node in nodes))
            self.by_node |= {node.node: self.share.places_on(node) for node in nodes}
        return self.count


class RayExecutor:
    """Reads files on the hosts of a cluster; see `indexer.pipeline.executor.Executor`.

    Parameters
    ----------
    cluster
        Where.
    plan
        How; travels with each chunk.
    share
        What reading a chunk takes of a host.
    files
        How many files there are, as far as is known.
    stopped
        Asked all the time; once true, the outcomes end.
    """

    predicts = True

    def __init__(
        self,
        cluster: Cluster,
        plan: HostSettings,
        share: Share,
        *,
        files: int,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._ray = cluster.ray
        self._plan = plan
        self._share = share
        self._places = _Places(cluster, share)
        self._files = files
        self._stopped = stopped
        self._task = self._ray.remote(read_chunk)
        self._source: Iterator[Chunk] = iter(())
        #: Chunks in the order of their files, from the first one that is not given out whole.
        self._window: deque[Chunk] = deque()
        self._attempts: list[_Attempt] = []
        self._patience = {"begun": ChunkDeadline(), "queued": ChunkDeadline()}
        self._failed_starts = 0
        self._hosts: dict[str, _HostUse] = {}

    def __enter__(self) -> RayExecutor:
        return self

    def __exit__(self, *_: object) -> None:
        for attempt in self._attempts:
            self._ray.cancel(attempt.stream, force=True)
        self._attempts.clear()

    @property
    def cores(self) -> int:
        """Of all hosts together, at most."""
        return self._places.cores

    def run(self, tasks: Iterator[FileTask]) -> Iterator[Outcome]:
        """Send out the first chunks at once; see `Executor.run`.

        Raises
        ------
        ClusterError
            Hosts end before they have begun, again and again.
        HostMismatch
            A host that joined has another key, bundle or version.
        CxrdexError
            A host cannot use the bundle.
        """
        self._source = chunks(tasks, chunk_size(self._files, self._places.now()))
        self._fill()
        return self._outcomes()

    def uses(self, seconds: float) -> Sequence[StageUse]:
        """Decoding and model of each host."""
        found = []
        for address, use in sorted(self._hosts.items()):
            places = max(use.workers // self._share.cpus, 1)
            for stage, busy, workers, side_by_side, other in (
                ("decode", use.decoding, use.workers, self._share.cpus, "model"),
                ("model", use.predicting, places, 1, "decode"),
            ):
                meter = Meter(busy, {other: max(use.chunks * side_by_side - busy, 0.0)})
                row = StageUse.of(stage, meter, seconds, workers, rest="chunks")
                found.append(replace(row, host=address))
        return found

    def _outcomes(self) -> Iterator[Outcome]:
        while self._window:
            while not self._window[0].settled:
                if self._stopped():
                    return
                self._listen()
                self._hurry()
            chunk = self._window.popleft()
            self._fill()
            for outcome in chunk.outcomes:
                yield outcome
                if self._stopped():
                    return

    def _fill(self) -> None:
        """Send out chunks, as many as there is room for."""
        room = max(_AHEAD * self._places.now(), _MIN_AHEAD)
        while len(self._window) < room and (chunk := next(self._source, None)):
            self._window.append(chunk)
            self._send(chunk)

    def _send(self, chunk: Chunk, elsewhere: HostAddress | None = None) -> None:
        """Have a chunk read; on any host but one, where that is said."""
        options: dict[str, Any] = {
            "num_cpus": self._share.cpus,
            "num_gpus": self._share.gpus,
            # Losses are counted here, to find the file that causes them.
            "max_retries": 0,
            "num_returns": "streaming",
            "scheduling_strategy": "SPREAD",
        }
        if elsewhere is not None:
            del options["scheduling_strategy"]
            options["label_selector"] = {"ray.io/node-id": f"!{elsewhere.node}"}
        stream = self._task.options(**options).remote(self._plan, chunk.tasks)
        self._attempts.append(_Attempt(chunk, stream, time.monotonic()))

    def _listen(self) -> None:
        """Wait a moment for whatever comes next of the chunks on their way, and take it."""
        waiting = {a.stream if a.next is None else a.next: a for a in self._attempts}
        if not waiting:
            raise AssertionError("a chunk that is not settled is on its way")
        done, _ = self._ray.wait(list(waiting), timeout=_POLL, fetch_local=True)
        for ready in done:
            self._take(waiting[ready])

    def _take(self, attempt: _Attempt) -> None:
        ray = self._ray
        try:
            if attempt.next is None:
                attempt.next = next(attempt.stream)
                return
            part = ray.get(attempt.next, timeout=_POLL)
        except ray.exceptions.GetTimeoutError:
            return
        except ray.exceptions.RayTaskError as error:
            self._attempts.remove(attempt)
            self._raise(attempt, error)
        except (ray.exceptions.RayError, StopIteration) as error:
            self._lost(attempt, error)
            return
        attempt.next = None
        self._use(attempt, part)

    def _raise(self, attempt: _Attempt, error: Any) -> None:
        """Raise what a host says of itself, with its name."""
        if isinstance(error.cause, CxrdexError):
            raise type(error.cause)(f"{attempt.where or 'a host'}: {error.cause}") from error
        raise error

    def _use(self, attempt: _Attempt, part: HostAddress | Answer | None) -> None:
        now = time.monotonic()
        if isinstance(part, HostAddress):
            attempt.where = part
        elif part is None:
            self._patience["queued"].add(now - attempt.since)
            attempt.since, attempt.begun, self._failed_starts = now, True, 0
        else:
            self._patience["begun"].add(now - attempt.since)
            self._answer(attempt, part)

    def _answer(self, attempt: _Attempt, answer: Answer) -> None:
        self._attempts.remove(attempt)
        assert attempt.where is not None
        node, address = attempt.where.node, attempt.where.address
        places = self._places.by_node.get(node, 1)
        use = self._hosts.setdefault(address, _HostUse(places * self._share.cpus))
        use.chunks += answer.seconds
        use.decoding += answer.decoding
        use.predicting += answer.predicting
        if not attempt.chunk.settled:
            attempt.chunk.answer = answer.outcomes
            # Chunks that were begun go on, as cancelling them would cost their host what it has
            # loaded.
            for other in [a for a in self._attempts if a.chunk is attempt.chunk and not a.begun]:
                self._ray.cancel(other.stream)

    def _lost(self, attempt: _Attempt, error: Exception) -> None:
        """Have a chunk read anew whose host or process has ended."""
        self._attempts.remove(attempt)
        chunk = attempt.chunk
        if chunk.settled or chunk.parts:
            return
        what = type(error).__name__
        _log.warning(
            "%s was lost (%s) with %d files, which are read anew",
            attempt.where or "a chunk on its way", what, len(chunk.tasks),
        )  # fmt: skip
        if attempt.begun:
            again = chunk.lose()
        else:
            self._failed_starts += 1
            if self._failed_starts >= _MAX_FAILED_STARTS:
                raise ClusterError(
                    f"the hosts of the cluster end before they can read ({what}): their logs are "
                    "in /tmp/ray/session_latest/logs"
                ) from error
            again = [chunk]
        on_its_way = {id(a.chunk) for a in self._attempts}
        for part in again:
            if id(part) not in on_its_way:
                self._send(part)

    def _hurry(self) -> None:
        """Give chunks that are overdue to another host as well."""
        now = time.monotonic()
        for attempt in list(self._attempts):
            patience = self._patience["begun" if attempt.begun else "queued"]
            if attempt.chunk.settled or not patience.is_over(now - attempt.since):
                continue
            if sum(a.chunk is attempt.chunk for a in self._attempts) == 1:
                _log.warning(
                    "%s is overdue: %d files are read elsewhere as well",
                    attempt.where or "a chunk on its way", len(attempt.chunk.tasks),
                )  # fmt: skip
                self._send(attempt.chunk, attempt.where)
