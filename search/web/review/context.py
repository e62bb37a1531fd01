"""What the requests of review share."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType

from fastapi import Request
from starlette.exceptions import HTTPException

from search.labels.labelling import Labelling
from search.service import SearchService
from search.web.review.queue import Queues
from search.web.review.updating import LabelUpdater

__all__ = ["ReviewContext", "review_context"]


@dataclass(slots=True)
class ReviewContext:
    """Labels of one database, and the way of new ones into its searches; a context manager.

    Parameters
    ----------
    labelling
        What people said.
    queues
        What they are asked next.
    updater
        Brings what they said into searches.
    """

    labelling: Labelling
    queues: Queues
    updater: LabelUpdater
    _open: ExitStack

    @classmethod
    def of(cls, service: SearchService) -> ReviewContext:
        """The room of a service's database."""
        with service.snapshot() as snapshot:
            root = snapshot.database.layout.root
        return cls(Labelling(service), Queues(service), LabelUpdater(root), ExitStack())

    def __enter__(self) -> ReviewContext:
        self._open.callback(self.labelling.close)
        if self.may_write:
            self._open.enter_context(self.updater)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    @property
    def may_write(self) -> bool:
        """Whether this server's user may add labels to the database."""
        return os.access(self.updater.database, os.W_OK)

    def check_writable(self) -> None:
        """Refuse a change that cannot be kept.

        Raises
        ------
        HTTPException
            403: this server may only read the database.
        """
        if not self.may_write:
            raise HTTPException(
                403, "this server may only read the database, so it keeps no labels"
            )


def review_context(request: Request) -> ReviewContext:
    """The review room of the server that answers a request."""
    room: ReviewContext = request.app.state.review
    return room
