"""The copies: places that something else fills from a store, and that applications read.

`COPIES` is the one place in which a type is bound to its module.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from workers.rotation.adapters import Adapter

COPIES: Final[Mapping[str, Adapter]] = {
    "external_secrets": Adapter("workers.rotation.copies.external_secrets", "kubernetes"),
}
"""Every type of copy, and where it is written."""
