"""The text of matchers, read as Alertmanager reads it.

Two grammars: the classic one, tolerant, with ASCII names, and the newer one with any UTF-8 name,
where everything unusual stands in quotes. `parse` runs both and says when they disagree.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from workers.alerting.matchers import Matcher, MatcherError, Op, quoted, reserved

_CLASSIC: Final = re.compile(r"\s*([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(=~|=|!=|!~)\s*(.*?)\s*", re.DOTALL)
_TOKEN: Final = re.compile(
    r'(?P<quoted>"(?:\\.|[^"\\])*")|(?P<op>=~|!=|!~|=)|(?P<mark>[{},])', re.DOTALL
)
_ESCAPE: Final = re.compile(
    r"\\(?:(?P<char>[abfnrtv\\\"])|(?P<octal>[0-3][0-7]{2})|x(?P<byte>[0-9a-fA-F]{2})"
    r"|u(?P<short>[0-9a-fA-F]{4})|U(?P<long>[0-9a-fA-F]{8}))"
)
_CHARS: Final = dict(zip('abfnrtv\\"', '\a\b\f\n\r\t\v\\"', strict=True))
_CLASSIC_ESCAPES: Final = {"n": "\n", '"': '"', "\\": "\\"}
_MAX_CODE: Final = 0x10FFFF


class Parsed(NamedTuple):
    """Matchers, and what to say about the way they are written ("" if nothing)."""

    matchers: tuple[Matcher, ...]
    warning: str = ""


class _Token(NamedTuple):
    kind: str  # text, op, mark, end
    value: str
    start: int


def parse(text: str) -> Parsed:
    """Read one or several matchers in whichever grammar accepts them.

    Raises:
        MatcherError: both grammars refuse; the message is the classic one's.
    """
    try:
        classic: tuple[Matcher, ...] | MatcherError = parse_classic(text)
    except MatcherError as error:
        classic = error
    try:
        modern = parse_utf8(text)
    except MatcherError:
        if isinstance(classic, MatcherError):
            raise classic from None
        suggestion = ",".join(map(str, classic))
        return Parsed(classic, f"quote names, values and backslashes: write {suggestion}")
    if isinstance(classic, MatcherError):
        return Parsed(modern)
    if classic != modern:
        suggestion = ",".join(map(str, classic))
        return Parsed(classic, f"ambiguous quoting or escapes, read as {suggestion}")
    return Parsed(modern)


def parse_classic(text: str) -> tuple[Matcher, ...]:
    """Read matchers in the classic grammar; braces are optional and need not pair up.

    Raises:
        MatcherError: it is not written in that grammar.
    """
    text = text.removeprefix("{").removesuffix("}")
    return tuple(map(_classic_matcher, _split(text)))


def _split(text: str) -> Iterator[str]:
    """Split at commas outside quotes; an empty last piece is allowed, others are not."""
    piece, inside, escaped = "", False, False
    for char in text:
        if char == "," and not inside:
            yield piece
            piece = ""
            continue
        if char == '"':
            inside, escaped = (inside, False) if escaped else (not inside, False)
        elif char == "\\":
            escaped = not escaped
        elif char != ",":
            escaped = False
        piece += char
    if piece.strip():
        yield piece.strip()


def _classic_matcher(text: str) -> Matcher:
    form = _CLASSIC.fullmatch(text)
    if form is None:
        raise MatcherError(f"bad matcher format: {text}")
    return Matcher(form[1], Op(form[2]), _classic_value(form[3]))


def _classic_value(raw: str) -> str:
    in_quotes = raw.startswith('"')
    body = raw[1:] if in_quotes else raw
    value, at, last, closed = "", 0, len(body) - 1, not in_quotes
    while at <= last:
        char = body[at]
        if char == "\\" and at < last:
            follows = body[at + 1]
            value += _CLASSIC_ESCAPES.get(follows, "\\" + follows)
            at += 2
            continue
        if char == '"':
            if not in_quotes or at < last:
                raise MatcherError(f"matcher value contains unescaped double quote: {raw}")
            closed = True
        else:
            value += char
        at += 1
    if not closed:
        raise MatcherError(f"matcher value contains unescaped double quote: {raw}")
    return value


def parse_utf8(text: str) -> tuple[Matcher, ...]:
    """Read matchers in the UTF-8 grammar: braces pair up, unusual characters stand in quotes.

    Raises:
        MatcherError: it is not written in that grammar.
    """
    tokens = list(_tokens(text))
    braced = tokens[0][:2] == ("mark", "{")
    place = 1 if braced else 0
    matchers: list[Matcher] = []
    while tokens[place].kind == "text":
        name, op, value = tokens[place : place + 3] if len(tokens) > place + 2 else (None,) * 3
        if name is None or op is None or value is None or op.kind != "op" or value.kind != "text":
            raise MatcherError(f"{tokens[place].start}: expected a name, an operator and a value")
        matchers.append(Matcher(name.value, Op(op.value), value.value))
        place += 3
        if tokens[place][:2] != ("mark", ","):
            break
        place += 1
    if braced:
        if tokens[place][:2] != ("mark", "}"):
            raise MatcherError(f"{tokens[place].start}: expected close brace")
        place += 1
    if tokens[place].kind != "end":
        raise MatcherError(f"{tokens[place].start}: unexpected {quoted(tokens[place].value)}")
    return tuple(matchers)


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        form = _TOKEN.match(text, at)
        end = form.end() if form else at
        if form and form["quoted"]:
            yield _Token("text", _unquote(form["quoted"]), at)
        elif form:
            yield _Token("op" if form["op"] else "mark", form[0], at)
        else:
            while end < len(text) and not reserved(text[end]):
                end += 1
            if end == at:
                raise MatcherError(f"{at}: {text[at]}: invalid input")
            yield _Token("text", text[at:end], at)
        at = end
    yield _Token("end", "", at)


def _unquote(text: str) -> str:
    """Undo Go's escapes; escaped bytes must form UTF-8 together."""
    body, value, at = text[1:-1], b"", 0
    while at < len(body):
        if body[at] == "\n":
            raise MatcherError(f"{text}: invalid input")
        if body[at] != "\\":
            value += body[at].encode()
            at += 1
            continue
        form = _ESCAPE.match(body, at)
        if form is None:
            raise MatcherError(f"{text}: invalid escape")
        value += _escaped(form, text)
        at = form.end()
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise MatcherError(f"{text}: not valid UTF-8") from None


def _escaped(form: re.Match[str], text: str) -> bytes:
    if form["char"]:
        return _CHARS[form["char"]].encode()
    if form["octal"]:
        return bytes([int(form["octal"], 8)])
    if form["byte"]:
        return bytes([int(form["byte"], 16)])
    code = int(form["short"] or form["long"], 16)
    if code > _MAX_CODE or 0xD800 <= code < 0xE000:  # noqa: PLR2004 - UTF-16's surrogates
        raise MatcherError(f"{text}: invalid escape")
    return chr(code).encode()
