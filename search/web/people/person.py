"""People and their roles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

__all__ = ["LOCAL", "ROLES", "Person", "Role"]

Role: TypeAlias = Literal["reader", "reviewer", "administrator"]
#: Each may do what those before it may.
ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True, slots=True)
class Person:
    """Someone who asks.

    Parameters
    ----------
    name
        As the users file, the proxy or the provider of identities has it.
    role
        What they may do.
    """

    name: str
    role: Role

    def may(self, role: Role) -> bool:
        """Whether they may do what is for `role`."""
        return ROLES.index(self.role) >= ROLES.index(role)


#: Whoever uses this machine, where a server has no sign-in.
LOCAL = Person("local", "administrator")
