"""Schemas of the custom resources that the chart makes: the fields it uses, and no other.

Written after the definitions that their projects publish; strict, so that a misspelled field of
ours is found although the cluster would drop it in silence.
"""

from __future__ import annotations

from typing import Any, Final

TEXT: Final = {"type": "string", "minLength": 1}
NUMBER: Final = {"type": "integer", "minimum": 0}
TEXTS: Final = {"type": "object", "additionalProperties": {"type": "string"}}
DURATION: Final = {"type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$"}


def record(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the schema of an object with these fields."""
    return {
        "type": "object",
        "required": list(required),
        "properties": required | (optional or {}),
        "additionalProperties": False,
    }


def several(item: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a list that is not empty."""
    return {"type": "array", "minItems": 1, "items": item}


SELECTOR: Final = record(
    {"matchLabels": TEXTS},
    {
        "matchExpressions": several(
            record(
                {
                    "key": TEXT,
                    "operator": {"enum": ["In", "NotIn", "Exists", "DoesNotExist"]},
                    "values": several(TEXT),
                }
            )
        )
    },
)
SCRAPE: Final = several(
    record(
        {"port": TEXT, "path": TEXT, "interval": DURATION, "honorLabels": {"type": "boolean"}},
    )
)
RULE: Final = {
    "oneOf": [
        record({"record": TEXT, "expr": TEXT}, {"labels": TEXTS}),
        record(
            {"alert": TEXT, "expr": TEXT, "labels": TEXTS, "annotations": TEXTS},
            {"for": DURATION},
        ),
    ]
}
SPECS: Final[dict[tuple[str, str], dict[str, Any]]] = {
    ("gateway.networking.k8s.io/v1", "HTTPRoute"): record(
        {
            "parentRefs": several(
                record({"name": TEXT}, {"namespace": TEXT, "sectionName": TEXT, "port": NUMBER})
            ),
            "rules": several(
                record(
                    {
                        "matches": several(
                            record(
                                {
                                    "path": record(
                                        {
                                            "type": {"enum": ["Exact", "PathPrefix"]},
                                            "value": {"type": "string", "pattern": "^/"},
                                        }
                                    )
                                }
                            )
                        ),
                        "backendRefs": several(record({"name": TEXT, "port": NUMBER})),
                    }
                )
            ),
        },
        {"hostnames": several(TEXT)},
    ),
    ("keda.sh/v1alpha1", "ScaledObject"): record(
        {
            "scaleTargetRef": record({"name": TEXT}),
            "minReplicaCount": NUMBER,
            "maxReplicaCount": NUMBER,
            "fallback": record(
                {
                    "failureThreshold": NUMBER,
                    "replicas": NUMBER,
                    "behavior": {
                        "enum": [
                            "static",
                            "currentReplicas",
                            "currentReplicasIfHigher",
                            "currentReplicasIfLower",
                        ]
                    },
                }
            ),
            "triggers": several(
                record(
                    {
                        "type": {"const": "prometheus"},
                        "name": TEXT,
                        "metadata": record(
                            {"serverAddress": TEXT, "query": TEXT, "threshold": TEXT}
                        ),
                    }
                )
            ),
        }
    ),
    ("monitoring.coreos.com/v1", "ServiceMonitor"): record(
        {"selector": SELECTOR, "podTargetLabels": several(TEXT), "endpoints": SCRAPE}
    ),
    ("monitoring.coreos.com/v1", "PodMonitor"): record(
        {"selector": SELECTOR, "podTargetLabels": several(TEXT), "podMetricsEndpoints": SCRAPE}
    ),
    ("monitoring.coreos.com/v1", "PrometheusRule"): record(
        {"groups": several(record({"name": TEXT, "rules": several(RULE)}, {"interval": DURATION}))}
    ),
    ("external-secrets.io/v1", "ExternalSecret"): record(
        {
            "refreshInterval": DURATION,
            "secretStoreRef": record(
                {"name": TEXT, "kind": {"enum": ["SecretStore", "ClusterSecretStore"]}}
            ),
            "target": record({"name": TEXT, "creationPolicy": {"const": "Owner"}}),
            "data": several(
                record(
                    {
                        "secretKey": TEXT,
                        "remoteRef": record({"key": TEXT}, {"property": TEXT, "version": TEXT}),
                    }
                )
            ),
        }
    ),
}
"""The `spec` of each custom resource, by apiVersion and kind."""


def schema(api_version: str, kind: str) -> dict[str, Any]:
    """Return the schema of a whole custom resource.

    Raises:
        KeyError: the chart makes none of this kind.
    """
    metadata = record({"name": TEXT, "namespace": TEXT, "labels": TEXTS}, {"annotations": TEXTS})
    return record(
        {
            "apiVersion": {"const": api_version},
            "kind": {"const": kind},
            "metadata": metadata,
            "spec": SPECS[api_version, kind],
        }
    )
