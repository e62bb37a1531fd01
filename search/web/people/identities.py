"""How a server knows who asks: users, sessions, tokens, and how often they may try."""

from __future__ import annotations

from search.web.people.limits import FailureDelay, Rate
from search.web.people.person import Person
from search.web.people.sessions import Sessions
from search.web.people.settings import SignInSettings
from search.web.people.users import Users, is_name

__all__ = ["Identities"]

# Wrong passwords before there is a delay: for one name, and for one address, which a whole ward may
# share.
_FREE_OF_NAME, _FREE_OF_ADDRESS = 5, 20


class Identities:
    """Everything about who asks; threads may share it.

    Parameters
    ----------
    settings
        How people sign in.
    request_rate, upload_rate
        How many requests and uploads each may send a minute; 0 for any number.
    """

    def __init__(
        self, settings: SignInSettings, *, request_rate: int = 0, upload_rate: int = 0
    ) -> None:
        self.settings = settings
        self.users = Users(settings.users) if settings.users is not None else None
        if self.users is not None:
            self.users.all()
        self.sessions = Sessions(
            settings.idle_minutes * 60, settings.hours * 3600, settings.sessions
        )
        self.requests = Rate(request_rate)
        self.uploads = Rate(upload_rate)
        self.names = FailureDelay(_FREE_OF_NAME)
        self.guesses = FailureDelay(_FREE_OF_ADDRESS)

    def by_name(self, name: str, stamp: str | None = None) -> Person | None:
        """Someone whom the proxy, the provider or a session names; None where they have no role.

        Parameters
        ----------
        stamp
            Of the session; None where it is not asked for.
        """
        user = self.users.all().get(name) if self.users is not None else None
        if user is not None:
            return user.person if stamp in (None, user.stamp) else None
        if self.settings.unlisted is None or stamp or not is_name(name):
            return None
        return Person(name, self.settings.unlisted)

    def by_token(self, token: str) -> Person | None:
        """Whose token it is."""
        user = self.users.by_token(token) if self.users is not None else None
        return user.person if user is not None else None

    def session_stamp(self, name: str) -> str:
        """What a session that begins now is stamped with."""
        user = self.users.all().get(name) if self.users is not None else None
        return user.stamp if user is not None else ""
