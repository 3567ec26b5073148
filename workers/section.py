"""A mapping of a YAML file, read strictly: nothing unknown, every problem with its line.

A `Section` is asked for its fields one by one; what nobody asked for is a problem when it is
closed. Problems are collected, so that a person mends them all at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml
from pydantic import SecretStr

from receiver.errors import HookError, SettingsError

_NULL: Final = "tag:yaml.org,2002:null"
MERGE: Final = "tag:yaml.org,2002:merge"
_BOOLEANS: Final = {
    "true": True,
    "yes": True,
    "on": True,
    "false": False,
    "no": False,
    "off": False,
}
_DURATION: Final = re.compile(
    r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?"
)
_UNITS: Final = (365 * 86_400.0, 7 * 86_400.0, 86_400.0, 3600.0, 60.0, 1.0, 0.001)


class Problem(NamedTuple):
    """Something to mend in a file; lines count from 1."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


class DocumentError(SettingsError):
    """The file does not describe a service that can run; each problem names its line."""

    reason = "document"

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__([str(problem) for problem in problems])
        self.found = tuple(problems)


class SecretUnreadableError(HookError):
    """The file that should hold a secret cannot be read now."""

    reason = "secret_unreadable"


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret given in the document or in a file beside it; it never shows itself."""

    value: SecretStr | None = None
    file: Path | None = None

    def reveal(self) -> str:
        """Return the secret; a file is read at each use, so that it can be replaced.

        Raises:
            SecretUnreadableError: the file is not there, empty or not text.
        """
        if self.value is not None:
            return self.value.get_secret_value()
        try:
            found = self.file.read_text("utf-8").strip() if self.file else ""
        except (OSError, UnicodeDecodeError) as error:
            raise SecretUnreadableError(f"{self.file}: {type(error).__name__}") from None
        if not found:
            raise SecretUnreadableError(f"{self.file}: empty")
        return found


class Text(NamedTuple):
    """A text of a list, with its line."""

    value: str
    line: int


@dataclass(frozen=True, slots=True)
class Findings:
    """What is wrong in one file, and what is only doubtful."""

    file: str
    base: Path
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    def problem(self, line: int, message: str) -> None:
        """Note what makes the file unusable."""
        self.problems.append(Problem(self.file, line, message))

    def warn(self, line: int, message: str) -> None:
        """Note what is allowed but probably not meant."""
        self.warnings.append(Problem(self.file, line, message))

    def raise_if_any(self) -> None:
        """Raise DocumentError with every problem so far, in the order of their lines."""
        if self.problems:
            raise DocumentError(sorted(set(self.problems), key=lambda found: found[1:]))


class Section:
    """A mapping that is being read; each question notes the field as known."""

    def __init__(self, node: yaml.MappingNode | None, name: str, findings: Findings) -> None:
        self.name = name
        self.findings = findings
        self.line = line_of(node) if node else 1
        self._nodes: dict[str, Any] = dict(_pairs(node)) if node else {}
        self._asked: set[str] = set()

    def has(self, name: str) -> bool:
        """Say whether the field is there and not null."""
        return self._node(name) is not None

    def line_of(self, name: str) -> int:
        """Return the field's line, or the section's if it is absent."""
        return line_of(self._nodes[name]) if name in self._nodes else self.line

    def problem(self, message: str, at: str = "") -> None:
        """Note a problem at a field, or at the section."""
        self.findings.problem(self.line_of(at), message)

    def warn(self, message: str, at: str = "") -> None:
        """Note a doubt at a field, or at the section."""
        self.findings.warn(self.line_of(at), message)

    def text(self, name: str, default: str = "") -> str:
        """Read a text; numbers and booleans are taken as they are written."""
        node = self._node(name)
        if node is None:
            return default
        return self._scalar(node, f'field "{name}"')

    def flag(self, name: str, *, default: bool) -> bool:
        """Read true or false."""
        if not self.has(name):
            return default
        found = _BOOLEANS.get(self.text(name).lower())
        if found is None:
            self.problem(f'field "{name}" must be true or false', name)
        return default if found is None else found

    def choice(self, name: str, default: str, allowed: tuple[str, ...]) -> str:
        """Read one of a few words."""
        found = self.text(name, default)
        if found in allowed:
            return found
        self.problem(f'field "{name}" must be one of {", ".join(allowed)}', name)
        return default

    def integer(self, name: str, default: int, *, least: int = 0) -> int:
        """Read a whole number not below `least`."""
        if not self.has(name):
            return default
        text = self.text(name)
        if not re.fullmatch(r"-?[0-9]{1,15}", text) or int(text) < least:
            self.problem(f'field "{name}" must be a whole number, at least {least}', name)
            return default
        return int(text)

    def duration(self, name: str) -> float | None:
        """Read a duration such as `30s`, `1h30m` or `0`; seconds, None if absent."""
        if not self.has(name):
            return None
        text = self.text(name)
        seconds = parse_duration(text)
        if seconds is None:
            self.problem(f'not a valid duration string: "{text}"', name)
        return seconds

    def secret(self, name: str) -> Secret | None:
        """Read a secret: the field itself, or `<name>_file` with a path beside this file."""
        in_file = f"{name}_file"
        text, path = self.text(name), self.text(in_file)
        if text and path:
            self.problem(f"at most one of {name} & {in_file} must be configured", in_file)
        if text:
            return Secret(value=SecretStr(text))
        return Secret(file=self.findings.base / path) if path else None

    def section(self, name: str, title: str = "") -> Section | None:
        """Open a mapping inside this one; None if absent."""
        node = self._node(name)
        return None if node is None else self._open(node, title or name)

    def sections(self, name: str, title: str = "") -> list[Section]:
        """Open each mapping of a list; empty if absent."""
        nodes = self._sequence(name)
        opened = (self._open(node, title or name) for node in nodes or ())
        return [section for section in opened if section is not None]

    def texts(self, name: str) -> list[Text] | None:
        """Read a list of texts with their lines; None if absent, which is not the empty list."""
        nodes = self._sequence(name)
        if nodes is None:
            return None
        return [Text(self._scalar(node, f'an entry of "{name}"'), line_of(node)) for node in nodes]

    def table(self, name: str) -> dict[str, str]:
        """Read a mapping of texts to texts; empty if absent."""
        inner = self.section(name)
        return {key: inner.text(key) for key in inner.names()} if inner else {}

    def names(self) -> list[str]:
        """Return the names of all fields, in order."""
        return list(self._nodes)

    def close(self) -> None:
        """Report every field that nobody asked for."""
        for name in self._nodes:
            if name not in self._asked:
                near = get_close_matches(name, self._asked, n=1)
                hint = f' (did you mean "{near[0]}"?)' if near else ""
                self.problem(f'unknown field "{name}" in {self.name}{hint}', name)

    def _node(self, name: str) -> Any:
        self._asked.add(name)
        node = self._nodes.get(name)
        return None if node is None or node.tag == _NULL else node

    def _scalar(self, node: Any, what: str) -> str:
        if isinstance(node, yaml.ScalarNode):
            return "" if node.tag == _NULL else str(node.value)
        self.findings.problem(line_of(node), f"{what} must be a text")
        return ""

    def _sequence(self, name: str) -> list[Any] | None:
        node = self._node(name)
        if node is None:
            return None
        if not isinstance(node, yaml.SequenceNode):
            self.problem(f'field "{name}" must be a list', name)
            return []
        return list(node.value)

    def _open(self, node: Any, title: str) -> Section | None:
        if isinstance(node, yaml.MappingNode):
            return Section(node, title, self.findings)
        if node.tag == _NULL:
            return Section(None, title, self.findings)
        self.findings.problem(line_of(node), f"{title} must be a mapping")
        return None


def parse_duration(text: str) -> float | None:
    """Return the seconds of `1h30m`, `30s`, `500ms` or `0`; None if it is no duration."""
    if text == "0":
        return 0.0
    form = _DURATION.fullmatch(text)
    if form is None or not text:
        return None
    return sum(int(part) * unit for part, unit in zip(form.groups(), _UNITS, strict=True) if part)


def _pairs(node: yaml.MappingNode) -> Iterator[tuple[str, Any]]:
    """Yield the fields of a mapping; what `<<` brings in comes first, to be overridden."""
    for key, value in node.value:
        if key.tag == MERGE:
            merged = value.value if isinstance(value, yaml.SequenceNode) else [value]
            for source in reversed(merged):
                if isinstance(source, yaml.MappingNode):
                    yield from _pairs(source)
    for key, value in node.value:
        if key.tag != MERGE:
            yield str(key.value), value


def line_of(node: Any) -> int:
    """Return the line on which a YAML node starts, from 1."""
    return int(node.start_mark.line) + 1
