"""What a run leaves ready for the first search."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from pathlib import Path

from indexer.database.layout import Layout
from indexer.errors import MissingExtraError, TextStoreUnavailable
from indexer.pipeline.progress import Summary
from search.service import SearchService

__all__ = ["prepare_meanings"]

_log = logging.getLogger(__name__)


def prepare_meanings(database: Path, summary: Summary) -> None:
    """Encode what the annotations of a database say, where a run has changed them.

    Killed meanwhile, or where the sentence model or the text store cannot be had, nothing is lost:
    the first search by meaning does the rest. Ctrl-C ends it in the same way.
    """
    changed = summary.done or summary.reports_changed or not Layout(database).semantic.exists()
    if summary.interrupted or summary.waiting or not changed:
        return
    started = time.monotonic()
    try:
        with SearchService(database) as service, suppress(KeyboardInterrupt):
            service.prepare()
    except (MissingExtraError, TextStoreUnavailable) as error:
        _log.info("searches by meaning were not made ready: %s", error)
        return
    _log.info("searches by meaning made ready in %.1f s", time.monotonic() - started)
