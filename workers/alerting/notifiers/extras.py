"""Optional parts of the installation: a target that needs one says so when it is configured."""

from __future__ import annotations

from importlib.util import find_spec

from workers.section import Section


def require(section: Section, module: str, extra: str) -> None:
    """Note a problem, with the command that mends it, unless a module is installed."""
    if find_spec(module) is None:
        section.problem(
            f"{section.name} needs the package {module}, which is not installed: "
            f"pip install 'synap-hooks[{extra}]'"
        )
