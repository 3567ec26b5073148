"""A YAML file, opened strictly: valid, a mapping, no key twice.

What stands in it is read through `Section`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from workers.section import MERGE, DocumentError, Findings, Problem, Section, line_of


def parse(text: str, *, file: str, base: Path) -> Section:
    """Return the root section of a YAML text.

    Args:
        text: the whole file.
        file: its name, for messages.
        base: the directory against which the paths in it are resolved.

    Raises:
        DocumentError: it is no YAML, no mapping, or a key stands twice.
    """
    findings = Findings(file, base)
    root = _compose(text, findings)
    _refuse_duplicates(root, findings)
    findings.raise_if_any()
    return Section(root, "the file", findings)


def load(path: Path) -> Section:
    """Return the root section of a YAML file.

    Raises:
        DocumentError: it cannot be read, or `parse` refuses it.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DocumentError([Problem(str(path), 1, f"unreadable: {error}")]) from None
    return parse(text, file=str(path), base=path.parent)


def _compose(text: str, findings: Findings) -> yaml.MappingNode | None:
    try:
        root: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        findings.problem(line, f"not valid YAML: {error.problem or error.context}")
    except (yaml.YAMLError, RecursionError) as error:
        findings.problem(1, f"not valid YAML: {type(error).__name__}")
    else:
        if root is None or isinstance(root, yaml.MappingNode):
            return root
        findings.problem(line_of(root), "the file must be a mapping")
    return None


def _refuse_duplicates(root: yaml.MappingNode | None, findings: Findings) -> None:
    """Walk each node once, whatever its aliases, and note keys that stand twice."""
    waiting: list[Any] = [root] if root else []
    visited: set[int] = set()
    while waiting:
        node = waiting.pop()
        if id(node) in visited or isinstance(node, yaml.ScalarNode):
            continue
        visited.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting.extend(node.value)
            continue
        seen: set[str] = set()
        for key, value in node.value:
            waiting.append(value)
            if not isinstance(key, yaml.ScalarNode):
                findings.problem(line_of(key), "a key must be a text")
            elif key.value in seen and key.tag != MERGE:
                findings.problem(line_of(key), f'key "{key.value}" stands twice')
            else:
                seen.add(key.value)
