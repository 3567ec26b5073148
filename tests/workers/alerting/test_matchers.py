"""Matchers: what they match, how they are written and read."""

from __future__ import annotations

import pytest

from workers.alerting.matchers import Matcher, MatcherError, Op, text_of
from workers.alerting.syntax import parse, parse_classic, parse_utf8


@pytest.mark.parametrize(
    ("text", "labels", "expected"),
    [
        pytest.param("foo=bar", {"foo": "bar"}, True, id="equal"),
        pytest.param("foo=bar", {"foo": "baz"}, False, id="not-equal"),
        pytest.param('foo=""', {}, True, id="missing-is-empty"),
        pytest.param('foo!="x"', {}, True, id="missing-is-not-x"),
        pytest.param('foo=~".*"', {}, True, id="missing-matches-anything"),
        pytest.param('foo=~".+"', {}, False, id="missing-is-not-something"),
        pytest.param('foo!~".+"', {}, True, id="missing-is-nothing"),
        pytest.param('foo!=""', {}, False, id="missing-is-not-present"),
    ],
)
def test_a_missing_label_is_the_empty_text(
    text: str, labels: dict[str, str], *, expected: bool
) -> None:
    """B8: a missing label equals the empty text."""
    (matcher,) = parse(text).matchers

    assert matcher.matches(labels) is expected


@pytest.mark.parametrize(
    ("pattern", "value", "expected"),
    [
        pytest.param("bar", "foobar", False, id="not-a-search"),
        pytest.param("a|b", "ab", False, id="alternatives-are-anchored"),
        pytest.param("a|b", "b", True, id="plain-alternatives"),
        pytest.param("bar", "bar\n", False, id="trailing-newline"),
        pytest.param("bar.", "bar\n", False, id="dot-is-no-newline"),
        pytest.param(r"\d+", "١٢", False, id="ascii-digits"),
        pytest.param("(?i)bar", "BAR", True, id="flags"),
        pytest.param("[[:alpha:]]+", "abc", True, id="posix-class"),
        pytest.param(r"\pL+", "é", True, id="unicode-class"),
        pytest.param("^(?:x|y)$", "y", True, id="anchored-already"),
        pytest.param("", "", True, id="empty"),
        pytest.param("", "a", False, id="empty-is-not-anything"),
    ],
)
def test_patterns_match_the_whole_value_as_re2_does(
    pattern: str, value: str, *, expected: bool
) -> None:
    """B9: patterns are anchored and mean what RE2 says."""
    assert Matcher("foo", Op.REGEX, pattern).matches({"foo": value}) is expected
    assert Matcher("foo", Op.NOT_REGEX, pattern).matches({"foo": value}) is not expected


@pytest.mark.parametrize("pattern", ["(a)\\1", "(?=x)", "(?<!y)", "[", "*"])
def test_patterns_that_re2_does_not_know_are_refused(pattern: str) -> None:
    """B9: backreferences, lookaround and broken patterns are errors when they are read."""
    with pytest.raises(MatcherError, match="invalid regular expression"):
        Matcher("foo", Op.REGEX, pattern)


@pytest.mark.timeout(5)
def test_matching_takes_linear_time() -> None:
    """B9: a pattern that backtracks for ever elsewhere is harmless."""
    matcher = Matcher("foo", Op.REGEX, "(a+)+b")

    assert matcher.matches({"foo": "a" * 100_000}) is False


def test_matchers_are_sorted_by_name_value_and_operator() -> None:
    """B5: the order of operators is = < != < =~ < !~."""
    written = parse("b=x,a=y,a!~x,a=~x,a!=x,a=x").matchers

    ordered = sorted(written, key=lambda matcher: matcher.sort_key)

    assert text_of(ordered) == '{a="x",a!="x",a=~"x",a!~"x",a="y",b="x"}'


@pytest.mark.parametrize(
    ("matcher", "text"),
    [
        pytest.param(Matcher("foo", Op.EQUAL, "bar"), 'foo="bar"', id="plain"),
        pytest.param(Matcher("foo", Op.NOT_EQUAL, 'a\\b"\n'), r'foo!="a\\b\"\n"', id="escapes"),
        pytest.param(Matcher("foo bar", Op.REGEX, "x"), '"foo bar"=~"x"', id="reserved-name"),
        pytest.param(Matcher("naïve", Op.EQUAL, "x"), 'naïve="x"', id="utf-8-name"),
    ],
)
def test_the_text_of_a_matcher(matcher: Matcher, text: str) -> None:
    """B11: the value is quoted and escaped, the name only if it must be."""
    assert str(matcher) == text
    assert parse_utf8(text) == (matcher,)
    assert repr(matcher) == f"Matcher({text})"
    assert len({matcher, *parse_utf8(text)}) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("foo=bar", ['foo="bar"'], id="plain"),
        pytest.param('{foo = "bar", dings != "bums", }', ['foo="bar"', 'dings!="bums"'], id="many"),
        pytest.param("foo=bar,dings!=bums", ['foo="bar"', 'dings!="bums"'], id="no-braces"),
        pytest.param("{foo=bar", ['foo="bar"'], id="open-brace-alone"),
        pytest.param(r'quote="She said: \"Hi, you\""', [r'quote="She said: \"Hi, you\""'], id="in"),
        pytest.param("x=~5..", ['x=~"5.."'], id="bare-pattern"),
        pytest.param(r'x="a\tb"', [r'x="a\\tb"'], id="unknown-escape-stays"),
        pytest.param("x=a\\", ['x="a\\\\"'], id="last-backslash-stays"),
        pytest.param(r'x="a\nb"', [r'x="a\nb"'], id="newline"),
        pytest.param("x=", ['x=""'], id="empty-value"),
        pytest.param("", [], id="empty"),
        pytest.param("{}", [], id="empty-braces"),
        pytest.param("x=a=b", ['x="a=b"'], id="operator-in-value"),
    ],
)
def test_the_classic_grammar_reads(text: str, expected: list[str]) -> None:
    """B39: the classic grammar is tolerant."""
    assert [str(matcher) for matcher in parse_classic(text)] == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("foo", "bad matcher format: foo", id="no-operator"),
        pytest.param("1foo=x", "bad matcher format: 1foo=x", id="bad-name"),
        pytest.param("a=b,,c=d", "bad matcher format: ", id="empty-piece"),
        pytest.param('x="a', 'matcher value contains unescaped double quote: "a', id="open-quote"),
        pytest.param('x=a"b', 'matcher value contains unescaped double quote: a"b', id="inner"),
        pytest.param('x="a"b"', 'matcher value contains unescaped double quote: "a"b"', id="odd"),
    ],
)
def test_the_classic_grammar_refuses(text: str, message: str) -> None:
    """B39: unbalanced or unescaped quotes and empty pieces are errors."""
    with pytest.raises(MatcherError) as caught:
        parse_classic(text)

    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("{foo=bar,}", ['foo="bar"'], id="trailing-comma"),
        pytest.param('{"foo bar"="baz qux"}', ['"foo bar"="baz qux"'], id="quoted-name"),
        pytest.param("foo🙂=bar🙂", ['foo🙂="bar🙂"'], id="utf-8"),
        pytest.param(r'x="\u00e9\x41\101\t"', ['x="éAA\t"'], id="go-escapes"),
        pytest.param(r'x="\xc3\xa9"', ['x="é"'], id="bytes-form-utf-8"),
        pytest.param("", [], id="empty"),
        pytest.param("{}", [], id="empty-braces"),
        pytest.param(" { a=b , c!~d } ", ['a="b"', 'c!~"d"'], id="spaces"),
        pytest.param("1foo=x", ['1foo="x"'], id="digit-first"),
    ],
)
def test_the_utf8_grammar_reads(text: str, expected: list[str]) -> None:
    """B40: names and values are any UTF-8, quoted or bare."""
    assert [str(matcher) for matcher in parse_utf8(text)] == expected


@pytest.mark.parametrize(
    "text",
    [
        "{foo=bar",
        "foo=bar}",
        "foo",
        "foo=",
        "=bar",
        "foo=bar baz",
        "foo==bar",
        "foo=bar,,",
        'foo="bar',
        "foo='bar'",
        "foo=`bar`",
        "foo=a\\b",
        'foo="\\q"',
        'foo="\\ud800"',
        'foo="\\xff"',
        'foo="a\nb"',
        "foo!bar",
        "{foo=bar}}",
        ",",
    ],
)
def test_the_utf8_grammar_refuses(text: str) -> None:
    """B40: braces pair up, what is reserved stands in quotes, escapes are Go's."""
    with pytest.raises(MatcherError):
        parse_utf8(text)


@pytest.mark.parametrize(
    ("text", "expected", "warned"),
    [
        pytest.param("foo=bar", 'foo="bar"', False, id="both-agree"),
        pytest.param('"foo bar"=x', '"foo bar"="x"', False, id="only-utf-8"),
        pytest.param("foo=bar baz", 'foo="bar baz"', True, id="only-classic"),
        pytest.param(r'foo="\x41"', r'foo="\\x41"', True, id="both-differ"),
    ],
)
def test_both_grammars_are_tried(text: str, expected: str, *, warned: bool) -> None:
    """B41: the classic reading wins with a warning wherever they differ."""
    parsed = parse(text)

    assert [str(matcher) for matcher in parsed.matchers] == [expected]
    assert bool(parsed.warning) is warned
    assert not warned or expected in parsed.warning


def test_the_classic_error_is_shown_when_both_refuse() -> None:
    """B41: what neither grammar reads is reported in the classic one's words."""
    with pytest.raises(MatcherError, match="bad matcher format: foo"):
        parse("foo")
