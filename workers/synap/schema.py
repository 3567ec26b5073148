"""The fields of a configuration: names, types, defaults, and both spellings of two of them.

The API's page and the production checklist spell two fields differently; both are read:
`storage.retention.default_ttl_days` is also `max_memory_age_days`, and `retrieval.context_budget`
is also an object with `max_tokens`. Fields that are not documented are kept as they came.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple

SECTIONS: Final = ("storage", "ingestion", "retrieval")
MAX_FIELDS: Final = 1_000
MAX_DEPTH: Final = 16

TTL: Final = "storage.retention.default_ttl_days"
MOST_PER_SCOPE: Final = "storage.retention.max_memories_per_scope"
DIMENSION: Final = "storage.vector.embedding_dimension"
METRIC: Final = "storage.vector.distance_metric"
GRAPH: Final = "storage.graph.enabled"
CONFIDENCE: Final = "ingestion.extraction.confidence_threshold"
RETRIEVAL_MODE: Final = "retrieval.mode"
BUDGET: Final = "retrieval.context_budget"


class Kind(StrEnum):
    """The type of a field."""

    TEXT = "string"
    WHOLE = "integer"
    NUMBER = "float"
    FLAG = "boolean"
    TEXTS = "string[]"
    OBJECT = "object"


class Absence(StrEnum):
    """Stands for a value that is not there."""

    GENERATED = "auto-generated"
    ALL = "all types"


class Field(NamedTuple):
    """A documented field; `nullable` says that null is a value of its own."""

    path: str
    kind: Kind
    default: Any
    named: str
    unit: str = ""
    nullable: bool = False


FIELDS: Final = (
    Field("storage.vector.namespace", Kind.TEXT, Absence.GENERATED, "vector namespace"),
    Field(DIMENSION, Kind.WHOLE, 1536, "embedding dimension"),
    Field(METRIC, Kind.TEXT, "cosine", "distance metric"),
    Field("storage.graph.namespace", Kind.TEXT, Absence.GENERATED, "graph namespace"),
    Field(GRAPH, Kind.FLAG, default=True, named="graph storage"),
    Field(TTL, Kind.WHOLE, None, "retention", "days", nullable=True),
    Field(MOST_PER_SCOPE, Kind.WHOLE, 10000, "most memories per scope"),
    Field("ingestion.categories", Kind.TEXTS, Absence.ALL, "memory categories"),
    Field("ingestion.extraction.model", Kind.TEXT, "default", "extraction model"),
    Field(CONFIDENCE, Kind.NUMBER, 0.7, "confidence threshold"),
    Field("ingestion.chunking.strategy", Kind.TEXT, "semantic", "chunking strategy"),
    Field("ingestion.chunking.max_chunk_size", Kind.WHOLE, 512, "largest chunk", "tokens"),
    Field("ingestion.chunking.overlap", Kind.WHOLE, 64, "overlap of chunks", "tokens"),
    Field("ingestion.agent_hints", Kind.OBJECT, {}, "hints for extraction"),
    Field(RETRIEVAL_MODE, Kind.TEXT, "balanced", "retrieval mode"),
    Field(BUDGET, Kind.WHOLE, 4096, "context budget", "tokens"),
    Field(
        "retrieval.ranking_signals",
        Kind.TEXTS,
        ["recency", "relevance", "confidence"],
        "ranking signals",
    ),
    Field("retrieval.anticipation.enabled", Kind.FLAG, default=True, named="anticipation"),
    Field("retrieval.anticipation.lookahead_turns", Kind.WHOLE, 3, "anticipated turns", "turns"),
    Field("retrieval.agent_hints", Kind.OBJECT, {}, "hints for retrieval"),
)
BY_PATH: Final[Mapping[str, Field]] = {field.path: field for field in FIELDS}

SPELLINGS: Final[Mapping[str, str]] = {
    "storage.retention.max_memory_age_days": TTL,
    "retrieval.context_budget.max_tokens": BUDGET,
}
"""Where the checklist spells a field otherwise than the API."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The fields of one configuration by path.

    `given` are documented fields with a value of their type, `odd` such with a value of another
    type, `unknown` all others.
    """

    given: Mapping[str, Any]
    odd: Mapping[str, Any]
    unknown: Mapping[str, Any]

    def value(self, path: str) -> Any:
        """Return what holds for a documented field: what is given, else its default."""
        return self.given.get(path, BY_PATH[path].default)

    def readable(self, path: str) -> bool:
        """Say whether `value` of a documented field is what holds: it is not odd."""
        return path not in self.odd

    def over(self, base: Settings) -> Settings:
        """Return these settings laid over others, as the API lays a partial update over."""
        written = {*self.given, *self.odd}
        return Settings(
            {
                **{path: held for path, held in base.given.items() if path not in written},
                **self.given,
            },
            {**{path: held for path, held in base.odd.items() if path not in written}, **self.odd},
            {**base.unknown, **self.unknown},
        )

    def every(self) -> dict[str, Any]:
        """Return all fields that there are or that have a default, by path."""
        defaults = {field.path: field.default for field in FIELDS}
        return {**defaults, **self.given, **self.odd, **self.unknown}


def settings_of(config: Mapping[str, Any]) -> Settings:
    """Read the fields of a configuration; what is outside its three sections is left out."""
    given: dict[str, Any] = {}
    odd: dict[str, Any] = {}
    unknown: dict[str, Any] = {}
    sections = {name: config[name] for name in SECTIONS if name in config}
    for spelled, raw in _leaves(sections):
        path = SPELLINGS.get(spelled, spelled)
        field = BY_PATH.get(path)
        if field is None:
            unknown[path] = raw
            continue
        if path in given and given[path] is not None:
            continue  # spelled both ways: what says something first counts
        value, fits = _typed(field, raw)
        if fits:
            given[path] = value
        else:
            odd[path] = raw
    return Settings(given, odd, unknown)


def _leaves(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield path and value of each leaf; a documented object is a leaf. Bounded both ways."""
    waiting: list[tuple[str, Any, int]] = [(name, value, 1) for name, value in config.items()]
    waiting.reverse()
    count = 0
    while waiting and count < MAX_FIELDS:
        path, value, depth = waiting.pop()
        field = BY_PATH.get(path)
        whole = field is not None and field.kind is Kind.OBJECT
        if isinstance(value, Mapping) and value and not whole and depth < MAX_DEPTH:
            inner = [(f"{path}.{name}", held, depth + 1) for name, held in value.items()]
            waiting += reversed(inner)
            continue
        count += 1
        yield path, value


def _typed(field: Field, raw: Any) -> tuple[Any, bool]:
    """Return a value of the field's type and True, or False where it is of another.

    A whole number may be written as a float; null stands for the default, unless it means
    something. Retention of 0 days is the checklist's way to write null: unlimited.
    """
    if field.path == TTL and raw == 0 and not isinstance(raw, bool):
        return None, True
    if raw is None:
        return (None if field.nullable else field.default), True
    if field.kind is Kind.WHOLE and isinstance(raw, float) and raw.is_integer():
        return int(raw), True
    return raw, _FITS[field.kind](raw)


def _is_number(raw: Any) -> bool:
    return isinstance(raw, int | float) and not isinstance(raw, bool)


_FITS: Final[Mapping[Kind, Callable[[Any], bool]]] = {
    Kind.TEXT: lambda raw: isinstance(raw, str),
    Kind.WHOLE: lambda raw: isinstance(raw, int) and not isinstance(raw, bool),
    Kind.NUMBER: _is_number,
    Kind.FLAG: lambda raw: isinstance(raw, bool),
    Kind.TEXTS: lambda raw: isinstance(raw, list) and all(isinstance(one, str) for one in raw),
    Kind.OBJECT: lambda raw: isinstance(raw, Mapping),
}
