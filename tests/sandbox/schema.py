"""The configuration schema as the API documents it, in JSON: what a new instance begins with."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

CATEGORIES = ["fact", "preference", "episode", "emotion", "temporal_event"]
SECTIONS = ("storage", "ingestion", "retrieval")


def default(instance_id: str) -> dict[str, Any]:
    """Return the default configuration of an instance."""
    return {
        "storage": {
            "vector": {
                "namespace": f"{instance_id}_vector",
                "embedding_dimension": 1536,
                "distance_metric": "cosine",
            },
            "graph": {"namespace": f"{instance_id}_graph", "enabled": True},
            "retention": {"default_ttl_days": None, "max_memories_per_scope": 10000},
        },
        "ingestion": {
            "categories": list(CATEGORIES),
            "extraction": {"model": "default", "confidence_threshold": 0.7},
            "chunking": {"strategy": "semantic", "max_chunk_size": 512, "overlap": 64},
        },
        "retrieval": {
            "mode": "balanced",
            "context_budget": 4096,
            "ranking_signals": ["recency", "relevance", "confidence"],
            "anticipation": {"enabled": True, "lookahead_turns": 3},
        },
    }


def merged(base: Mapping[str, Any], update: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration with a partial update laid over it."""
    result = copy.deepcopy(dict(base))
    for name, value in update.items():
        held = result.get(name)
        both = isinstance(held, Mapping) and isinstance(value, Mapping)
        result[name] = merged(held, value) if both else copy.deepcopy(value)
    return result


def changes(old: Mapping[str, Any], new: Mapping[str, Any], at: str = "") -> list[dict[str, Any]]:
    """Return the fields in which two configurations differ, as the dashboard shows them."""
    found: list[dict[str, Any]] = []
    for name in sorted({*old, *new}):
        path = f"{at}.{name}" if at else name
        before, after = old.get(name), new.get(name)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            found += changes(before, after, path)
        elif before != after:
            found.append({"field": path, "old": before, "new": after})
    return found
