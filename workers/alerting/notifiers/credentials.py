"""How a call says who it is, where the target is one of our own: a bearer token or a password."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass

from workers.section import Secret, Section


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Nothing, a bearer token, or a user with a password."""

    bearer_token: Secret | None = None
    username: str = ""
    password: Secret | None = None

    def headers(self) -> dict[str, str]:
        """Return the header that says who calls.

        Raises:
            SecretUnreadableError: the file of the secret cannot be read.
        """
        if self.bearer_token is not None:
            return {"authorization": f"Bearer {self.bearer_token.reveal()}"}
        if self.password is not None:
            pair = f"{self.username}:{self.password.reveal()}"
            return {"authorization": f"Basic {b64encode(pair.encode()).decode()}"}
        return {}


def read_credentials(section: Section) -> Credentials:
    """Read the fields of an entry that say who calls."""
    found = Credentials(
        bearer_token=section.secret("bearer_token"),
        username=section.text("username"),
        password=section.secret("password"),
    )
    if found.bearer_token is not None and found.password is not None:
        section.problem("at most one of bearer_token & password must be configured")
    if bool(found.username) != (found.password is not None):
        section.problem("username and password must be configured together")
    return found
