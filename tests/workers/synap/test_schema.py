"""Every field of a configuration: by default, changed, absent, null, odd; and unknown ones."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.sandbox import schema as documented
from workers.synap.difference import Way, difference, in_words
from workers.synap.schema import (
    BUDGET,
    BY_PATH,
    FIELDS,
    TTL,
    Absence,
    Kind,
    Settings,
    settings_of,
)

DEFAULT = documented.default("inst_f1e2d3c4b5a69078")

CHANGED: dict[str, Any] = {
    "storage.vector.namespace": "other_vector",
    "storage.vector.embedding_dimension": 3072,
    "storage.vector.distance_metric": "euclidean",
    "storage.graph.namespace": "other_graph",
    "storage.graph.enabled": False,
    "storage.retention.default_ttl_days": 90,
    "storage.retention.max_memories_per_scope": 500,
    "ingestion.categories": ["fact"],
    "ingestion.extraction.model": "large",
    "ingestion.extraction.confidence_threshold": 0.5,
    "ingestion.chunking.strategy": "fixed",
    "ingestion.chunking.max_chunk_size": 256,
    "ingestion.chunking.overlap": 0,
    "ingestion.agent_hints": {"sku": "product number"},
    "retrieval.mode": "accurate",
    "retrieval.context_budget": 8192,
    "retrieval.ranking_signals": ["relevance"],
    "retrieval.anticipation.enabled": False,
    "retrieval.anticipation.lookahead_turns": 5,
    "retrieval.agent_hints": {"tone": "short"},
}
WORDS = {
    "storage.vector.namespace": "vector namespace changed from auto-generated to other_vector",
    "storage.vector.embedding_dimension": "embedding dimension raised from 1536 to 3072",
    "storage.vector.distance_metric": "distance metric changed from cosine to euclidean",
    "storage.graph.namespace": "graph namespace changed from auto-generated to other_graph",
    "storage.graph.enabled": "graph storage turned off",
    "storage.retention.default_ttl_days": "retention changed from unlimited to 90 days",
    "storage.retention.max_memories_per_scope": "most memories per scope lowered from 10000 to 500",
    "ingestion.categories": "memory categories changed from all types to fact",
    "ingestion.extraction.model": "extraction model changed from default to large",
    "ingestion.extraction.confidence_threshold": "confidence threshold lowered from 0.7 to 0.5",
    "ingestion.chunking.strategy": "chunking strategy changed from semantic to fixed",
    "ingestion.chunking.max_chunk_size": "largest chunk lowered from 512 to 256 tokens",
    "ingestion.chunking.overlap": "overlap of chunks lowered from 64 to 0 tokens",
    "ingestion.agent_hints": 'hints for extraction changed from {} to {"sku":"product number"}',
    "retrieval.mode": "retrieval mode changed from balanced to accurate",
    "retrieval.context_budget": "context budget raised from 4096 to 8192 tokens",
    "retrieval.ranking_signals": (
        "ranking signals changed from recency, relevance, confidence to relevance"
    ),
    "retrieval.anticipation.enabled": "anticipation turned off",
    "retrieval.anticipation.lookahead_turns": "anticipated turns raised from 3 to 5 turns",
    "retrieval.agent_hints": 'hints for retrieval changed from {} to {"tone":"short"}',
}
ODD: dict[Kind, tuple[Any, ...]] = {
    Kind.TEXT: (7, True, ["cosine"], {"a": 1}),
    Kind.WHOLE: ("many", True, 1.5, [1]),
    Kind.NUMBER: ("0.7", False, [0.7]),
    Kind.FLAG: ("yes", 1, 0, []),
    Kind.TEXTS: ("recency", 3, [1, 2], [None]),
    Kind.OBJECT: ("none", 3, [1]),
}


def placed(path: str, value: Any) -> dict[str, Any]:
    """Return a configuration that holds one field alone."""
    for name in reversed(path.split(".")):
        value = {name: value}
    return dict(value)


def without(path: str) -> dict[str, Any]:
    """Return the default configuration without one field."""
    config = copy.deepcopy(DEFAULT)
    *inner, last = path.split(".")
    place: Any = config
    for name in inner:
        place = place[name]
    place.pop(last, None)
    return config


ALL = [pytest.param(field.path, id=field.path) for field in FIELDS]


def test_the_tables_are_whole() -> None:
    """Every documented field has its row here."""
    assert list(CHANGED) == [field.path for field in FIELDS] == list(WORDS)


def test_defaults_are_those_of_the_page() -> None:
    """The example of the API's page says nothing else than the defaults."""
    settings = settings_of(DEFAULT)

    assert (settings.odd, settings.unknown) == ({}, {})
    generated = {path: value for path, value in settings.given.items() if "namespace" in path}
    assert set(generated) == {"storage.vector.namespace", "storage.graph.namespace"}
    for path, value in settings.given.items():
        if BY_PATH[path].default is Absence.ALL:
            assert value == documented.CATEGORIES
        elif path not in generated:
            assert value == BY_PATH[path].default, path


@pytest.mark.parametrize("path", ALL)
def test_each_field_changed(path: str) -> None:
    """A given value is read, and its change told in words and for machines."""
    settings = settings_of(placed(path, CHANGED[path]))

    assert settings == Settings({path: CHANGED[path]}, {}, {})
    assert settings.value(path) == CHANGED[path]
    (change,) = difference(settings_of({}), settings)
    assert change.words == WORDS[path]
    default = BY_PATH[path].default
    assert change.machine == {
        "field": path,
        "old": None if isinstance(default, Absence) else default,
        "new": CHANGED[path],
        "change": change.way.value,
        "documented": True,
    }


@pytest.mark.parametrize("path", ALL)
def test_each_field_absent(path: str) -> None:
    """An absent field has its documented default, and its absence is no change."""
    settings = settings_of(without(path))

    assert path not in settings.given
    assert settings.value(path) == BY_PATH[path].default
    if not isinstance(BY_PATH[path].default, Absence):
        assert difference(settings_of(DEFAULT), settings) == ()


@pytest.mark.parametrize("path", ALL)
def test_each_field_null(path: str) -> None:
    """Null stands for the default; for retention it is a value: unlimited."""
    settings = settings_of(placed(path, None))

    assert settings.odd == {}
    assert settings.value(path) == BY_PATH[path].default


@pytest.mark.parametrize("path", ALL)
def test_each_field_of_another_type(path: str) -> None:
    """A value of another type is kept apart, said, and hides no other field."""
    for value in ODD[BY_PATH[path].kind]:
        config = documented.merged({"retrieval": {"mode": "fast"}}, placed(path, value))
        settings = settings_of(config)
        if isinstance(value, dict):
            assert settings.unknown, path
            continue
        assert settings.odd == {path: value}
        assert not settings.readable(path)
        assert path == "retrieval.mode" or settings.value("retrieval.mode") == "fast"
        assert difference(settings_of({}), settings)


@pytest.mark.parametrize(
    ("config", "path", "value"),
    [
        pytest.param(placed("storage.retention.max_memory_age_days", 365), TTL, 365, id="age"),
        pytest.param(placed("storage.retention.max_memory_age_days", 0), TTL, None, id="age 0"),
        pytest.param(placed(TTL, 0), TTL, None, id="ttl 0"),
        pytest.param(placed("retrieval.context_budget.max_tokens", 9000), BUDGET, 9000, id="max"),
        pytest.param(placed(BUDGET, 9000.0), BUDGET, 9000, id="whole float"),
        pytest.param(
            {"storage": {"retention": {"default_ttl_days": None, "max_memory_age_days": 30}}},
            TTL,
            30,
            id="both, one says nothing",
        ),
        pytest.param(
            {"storage": {"retention": {"default_ttl_days": 90, "max_memory_age_days": 30}}},
            TTL,
            90,
            id="both, the API's first",
        ),
    ],
)
def test_both_spellings(config: dict[str, Any], path: str, value: int | None) -> None:
    """The checklist's spellings of two fields are read as the API's."""
    settings = settings_of(config)

    assert settings.value(path) == value
    assert settings.unknown == {}


def test_unknown_fields_are_kept() -> None:
    """A field that nobody documented is kept and compared like any other."""
    old = settings_of({"storage": {"tiering": {"cold_after_days": 30}}, "billing": {"plan": "pro"}})
    new = settings_of({"storage": {"tiering": {"cold_after_days": 60}, "codec": "zstd"}})

    assert old.unknown == {"storage.tiering.cold_after_days": 30}
    assert [(change.path, change.way) for change in difference(old, new)] == [
        ("storage.codec", Way.ADDED),
        ("storage.tiering.cold_after_days", Way.CHANGED),
    ]
    assert in_words(difference(new, old)) == (
        "storage.codec removed, was zstd; storage.tiering.cold_after_days changed from 60 to 30"
    )


def test_a_partial_update_lies_over_what_is_active() -> None:
    """Fields that an update names replace those below; the others stay."""
    base = settings_of({"retrieval": {"context_budget": 9000, "mode": "fast", "x": 1}})
    update = settings_of({"retrieval": {"context_budget": "many", "mode": "accurate"}})

    laid = update.over(base)

    assert laid == Settings({"retrieval.mode": "accurate"}, {BUDGET: "many"}, {"retrieval.x": 1})


@pytest.mark.parametrize(
    "config",
    [
        pytest.param({"storage": "none", "retrieval": [1]}, id="sections that are none"),
        pytest.param({"storage": {str(n): n for n in range(5000)}}, id="very many fields"),
        pytest.param(placed("storage" + ".a" * 200, 1), id="very deep"),
        pytest.param({"storage": {"retention": {}}}, id="an empty object"),
    ],
)
def test_no_shape_breaks_it(config: dict[str, Any]) -> None:
    """Whatever JSON stands for a configuration is read within bounds."""
    settings = settings_of(config)

    assert len(settings.unknown) <= 1000
    assert in_words(difference(settings_of(DEFAULT), settings))


def test_long_and_odd_texts_are_made_fit_to_show() -> None:
    """Values from outside are bounded, visible and without credentials, in both forms."""
    secret = "synap_" + "k3y" * 20
    new = settings_of({"retrieval": {"mode": "x" * 500, "agent_hints": {"key": secret, "\x1b": 1}}})

    shown = [(one.words, one.machine) for one in difference(settings_of({}), new)]

    assert "k3yk3y" not in repr(shown)
    assert "\x1b" not in repr(shown)
    assert all(len(words) < 300 for words, _ in shown)


def test_many_changes_are_counted() -> None:
    """A sentence lists a few changes and counts the rest."""
    new = settings_of({"storage": {f"field_{n}": n for n in range(20)}})

    assert in_words(difference(settings_of({}), new), most=3).endswith("; and 17 more")
    assert in_words(()) == "nothing"
