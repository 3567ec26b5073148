"""The witnesses: how applications that run are asked which key they use.

`WITNESSES` is the one place in which a type is bound to its module.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from workers.rotation.adapters import Adapter

WITNESSES: Final[Mapping[str, Adapter]] = {
    "pods": Adapter("workers.rotation.witnesses.pods", "kubernetes"),
}
"""Every type of witness, and where it is written."""
