"""The stores: each file holds its configuration, its class and its reading of errors.

`STORES` is the one place in which a type is bound to its module; SDKs are imported with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from workers.rotation.adapters import Adapter

STORES: Final[Mapping[str, Adapter]] = {
    "file": Adapter("workers.rotation.stores.file"),
    "aws_secrets_manager": Adapter("workers.rotation.stores.aws_secrets_manager", "aws"),
    "aws_ssm": Adapter("workers.rotation.stores.aws_ssm", "aws"),
    "gcp": Adapter("workers.rotation.stores.gcp", "gcp"),
    "azure": Adapter("workers.rotation.stores.azure", "azure"),
    "vault": Adapter("workers.rotation.stores.vault", "vault"),
    "kubernetes": Adapter("workers.rotation.stores.kubernetes", "kubernetes"),
}
"""Every type of store, and where it is written."""
