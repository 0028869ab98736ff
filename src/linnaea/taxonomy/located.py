"""JSON with line numbers: a parser that knows where every member and item stands, and needs no recursion.

The standard library's gives no places and gives up on values that are nested 1,000 deep; it also lets the
last of two equal keys win without a word.
"""

from __future__ import annotations

import re
from json.decoder import JSONDecodeError, scanstring  # type: ignore[attr-defined]
from typing import Any


class BrokenJson(ValueError):
    """What is wrong, and in which line."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.message, self.line = message, line


class Items(list):
    """A JSON array: ``(line, value)`` pairs."""


class Members(list):
    """A JSON object: ``(line, key, value)`` triples in the order of the file, equal keys included."""

    def get(self, *keys: str) -> Any:
        """The value of the first member that has one of ``keys``, or None."""
        return self.find(*keys)[1]

    def find(self, *keys: str) -> tuple[int | None, Any]:
        """Line and value of the first member that has one of ``keys``, or None twice."""
        return next(((line, value) for line, key, value in self if key in keys), (None, None))

    def has(self, *keys: str) -> bool:
        return any(key in keys for _, key, _ in self)


_TOKEN = re.compile(
    r'[ \t\n\r]*(?:([{}\[\],:])|"([^"\\\x00-\x1f]*)"|(")'
    r"|(-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)(?![\w.+-]))"
)
_COLON = re.compile(r"[ \t\n\r]*:")
_CLOSE = re.compile(r"[ \t\n\r]*([}\]])")
_REST = re.compile(r"[ \t\n\r]*(.{0,20})")
_WORDS = {"true": True, "false": False, "null": None}
_MAX_DIGITS = 300


def parse(text: str, line: int = 1) -> Any:
    """The value of a JSON text; arrays are :class:`Items`, objects :class:`Members`.

    Args:
        line: the number of the text's first line.

    Raises:
        BrokenJson: with the line.
    """
    return _Parser(text, line).run()


class _Parser:
    def __init__(self, text: str, line: int) -> None:
        self.text, self.line, self.at, self.counted = text, line, 0, 0

    def run(self) -> Any:
        open_: list[
            tuple[Items | Members, str]
        ] = []  # containers from the outermost, with the key that waits
        lines: list[int] = []  # where the member or item of each began
        while True:
            kind, value = self.token()
            if open_ and isinstance(open_[-1][0], Items):
                lines[-1] = self.line
            if kind in ("{", "["):
                value = Members() if kind == "{" else Items()
                if not self.closes(value):
                    key = self.key() if kind == "{" else ""
                    open_.append((value, key))
                    lines.append(self.line)
                    continue
            elif kind:
                raise self.fail(f"a value is missing before {kind!r}")
            while open_:  # the value is complete: add it, close what ends with it
                here, key = open_[-1]
                here.append((lines[-1], key, value) if isinstance(here, Members) else (lines[-1], value))
                kind, _ = self.token()
                if kind == ",":
                    if isinstance(here, Members):
                        open_[-1] = (here, self.key())
                        lines[-1] = self.line
                    break
                end = "}" if isinstance(here, Members) else "]"
                if kind != end:
                    raise self.fail(f"',' or {end!r} is missing")
                open_.pop()
                lines.pop()
                value = here
            if not open_:
                if rest := self.rest():
                    raise self.fail(f"more behind its end: {rest!r}")
                return value

    def token(self) -> tuple[str, Any]:
        """One of ``{ } [ ] , :``, or ``""`` with a value; moves ``at`` behind it and ``line`` to its line."""
        match = _TOKEN.match(self.text, self.at)
        if match is None:
            rest = self.rest()
            raise self.fail(f"unexpected {rest!r}" if rest else "it ends too early")
        kind = match.lastindex or 0
        self.count(match.start(kind))
        self.at = match.end()
        if kind == 1:
            return match.group(1), None
        if kind == 2:
            return "", match.group(2)
        if kind == 3:
            try:
                value, self.at = scanstring(self.text, self.at, True)
            except JSONDecodeError as bad:
                raise self.fail(bad.msg[0].lower() + bad.msg[1:]) from None
            return "", value
        word = match.group(4)
        if len(word) > _MAX_DIGITS:
            raise self.fail(f"a number of {len(word)} digits")
        number = word.lstrip("-").isdigit()
        return "", _WORDS[word] if word in _WORDS else int(word) if number else float(word)

    def key(self) -> str:
        """The key of a member, moving behind its colon."""
        kind, key = self.token()
        if kind or not isinstance(key, str):
            raise self.fail(f"a key in quotes is missing before {kind or key!r}")
        colon = _COLON.match(self.text, self.at)
        if colon is None:
            raise self.fail(f"':' is missing behind {key!r}")
        self.at = colon.end()
        return key

    def closes(self, container: Items | Members) -> bool:
        """Whether a container that was just opened is empty; moves behind its end then."""
        match = _CLOSE.match(self.text, self.at)
        if match is None or match.group(1) != ("}" if isinstance(container, Members) else "]"):
            return False
        self.at = match.end()
        return True

    def count(self, position: int) -> None:
        self.line += self.text.count("\n", self.counted, position)
        self.counted = position

    def rest(self) -> str:
        """The beginning of what follows, of which ``line`` is the line then."""
        match = _REST.match(self.text, self.at)
        if match is None or not match.group(1):
            return ""
        self.count(match.start(1))
        return match.group(1)

    def fail(self, message: str) -> BrokenJson:
        return BrokenJson(f"broken JSON: {message}", self.line)
