"""What Synap's API answers, typed; fields that nobody knows are kept in `model_extra`.

A field of another type than documented is None, so that one odd field hides nothing else. Only
what identifies an answer is required.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from workers.reading import LABEL_CHARS, TEXT_CHARS, clean, flag, moment, number, written
from workers.synap.errors import UnreadableError
from workers.synap.schema import Settings, settings_of

Odd = TypeVar("Odd")


def _text(value: Any) -> str:
    return clean(written(value), TEXT_CHARS)


def _name(value: Any) -> str:
    found = clean(written(value), LABEL_CHARS)
    if not found:
        raise ValueError("must be a text")
    return found


def _whole(value: Any) -> int | None:
    found = number(value)
    return int(found) if found is not None and found.is_integer() and found >= 0 else None


def _or_empty(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    """Read the rows of a list that can be read; anything but a list is the empty one."""
    rows = []
    for row in value if isinstance(value, list) else ():
        try:
            rows += handler([row])
        except ValidationError:
            continue
    return tuple(rows)


Text = Annotated[str, BeforeValidator(_text)]
"""Text fit to show; empty when it is absent or none."""

Name = Annotated[str, BeforeValidator(_name)]
"""An identifier, without which the answer is unreadable."""

Whole = Annotated[int | None, BeforeValidator(_whole)]
Moment = Annotated[float | None, BeforeValidator(moment)]
"""Unix seconds."""

Truth = Annotated[bool | None, BeforeValidator(flag)]


class Answer(BaseModel):
    """The base of all answers."""

    model_config = ConfigDict(frozen=True, extra="allow", hide_input_in_errors=True)


class ReviewFlag(Answer):
    """Something that a reviewer should look at."""

    field: Text = ""
    reason: Text = ""
    severity: Text = ""


class Submitted(Answer):
    """A configuration was generated or updated and waits for its review."""

    config_id: Name
    status: Text = ""
    message: Text = ""
    review_flags: Annotated[tuple[ReviewFlag, ...], WrapValidator(_or_empty)] = ()


class Applied(Answer):
    """A configuration was made the active one, by apply or by rollback."""

    success: Truth = None
    status: Text = ""
    message: Text = ""
    applied_at: Moment = None
    rollback_config_id: Text = ""


class Reviewed(Answer):
    """A decision on a configuration was recorded."""

    success: Truth = None
    status: Text = ""


class Configuration(Answer):
    """One version of a configuration; `settings` are its fields."""

    config_id: Name
    version: Whole = None
    status: Text = ""
    applied_at: Moment = None
    applied_by: Text = ""

    @property
    def settings(self) -> Settings:
        """The configured fields, by their documented paths."""
        return settings_of(self.model_extra or {})

    @property
    def named(self) -> str:
        """The id with its version, as a person reads it."""
        return self.config_id if self.version is None else f"{self.config_id} (v{self.version})"


class Version(Answer):
    """A row of the list of versions."""

    config_id: Name
    version: Whole = None
    status: Text = ""
    triggered_by: Text = ""
    reason: Text = ""
    reviewed_by: Text = ""
    created_at: Moment = None
    applied_at: Moment = None


class VersionPage(Answer):
    """One page of the list of versions, newest first."""

    data: Annotated[tuple[Version, ...], WrapValidator(_or_empty)] = ()
    page: Whole = None
    page_size: Whole = None
    total: Whole = None
    total_pages: Whole = None

    def find(self, config_id: str) -> Version | None:
        """Return the row of a configuration, if it is on this page."""
        return next((row for row in self.data if row.config_id == config_id), None)


class Identity(Answer):
    """Whose key it is that was asked with."""

    client_id: Text = ""
    instance_id: Text = ""
    user_context_isolation: Text = ""


class ConfigDetail(Configuration):
    """The active configuration with what the dashboard adds."""

    last_modifier: Text = ""
    health_status: Text = ""
    change_frequency: Any = None


class History(Answer):
    """Every version with what the dashboard adds; what is documented of it is only that it is."""

    data: Annotated[tuple[Mapping[str, Any], ...], WrapValidator(_or_empty)] = Field(default=())


A = TypeVar("A", bound=Answer)


def read(model: type[A], body: Mapping[str, Any], *, status: int, correlation_id: str) -> A:
    """Return an answer read from a JSON object.

    Raises:
        UnreadableError: what identifies the answer is missing.
    """
    try:
        return model.model_validate(body)
    except ValidationError as error:
        fields = ", ".join(sorted({".".join(map(str, e["loc"])) for e in error.errors()}))
        raise UnreadableError(
            f"the answer cannot be read: {fields}", status=status, correlation_id=correlation_id
        ) from None
