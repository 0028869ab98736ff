"""Shapes: what differs is named by its place; numbers that JSON does not know are nowhere."""

from __future__ import annotations

import json
from typing import Any

import pytest

from linnaea.errors import DataError, ModelError
from linnaea.shapes import COUNT, FLAG, INTERVAL, NUMBER, OBJECT, TEXT, check

SHAPE: dict[str, Any] = {
    "n": NUMBER,
    "rows?": [{"id": TEXT, "at": (COUNT, None)}],
    "by?": {"first": FLAG, "*": INTERVAL},
    "any?": OBJECT,
}


@pytest.mark.parametrize(
    "value",
    [
        {"n": 1},
        {"n": -0.5, "rows": [], "by": {"first": True}, "any": {"x": [1, {"y": "z"}]}, "more": None},
        {"n": 0, "rows": [{"id": "", "at": None}, {"id": "b", "at": 3, "more": []}]},
        {"n": 0, "by": {"first": False, "x": [0, 1.5], "y": [-1, 0]}},
    ],
)
def test_what_fits_is_given_back(value: Any) -> None:
    assert check(value, SHAPE, "f") is value


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[]", "does not hold a JSON object"),
        ("null", "does not hold a JSON object"),
        ("{}", "has no n"),
        ('{"n": "1"}', 'n must be a finite number, not "1"'),
        ('{"n": true}', "n must be a finite number, not true"),
        ('{"n": null}', "n must be a finite number, not null"),
        ('{"n": NaN}', "n must be a finite number, not NaN"),
        ('{"n": 1e999}', "n must be a finite number, not Infinity"),
        ('{"n": 1' + "0" * 400 + "}", "n must be a finite number, not 1000"),
        ('{"n": 1, "rows": null}', "rows must be a list, not null"),
        ('{"n": 1, "rows": {}}', "rows must be a list, not {}"),
        ('{"n": 1, "rows": [1]}', "rows[0] must be an object, not 1"),
        ('{"n": 1, "rows": [{"id": "a", "at": 1}, {"id": "a"}]}', "has no rows[1].at"),
        ('{"n": 1, "rows": [{"id": 5, "at": 1}]}', "rows[0].id must be a string, not 5"),
        ('{"n": 1, "rows": [{"id": "", "at": -1}]}', "rows[0].at must be a count, not -1"),
        ('{"n": 1, "rows": [{"id": "", "at": 1.0}]}', "rows[0].at must be a count, not 1.0"),
        ('{"n": 1, "by": {"first": 1}}', "by.first must be true or false, not 1"),
        ('{"n": 1, "by": {"first": true, "x": [1]}}', "by.x must be two finite numbers, not [1]"),
        ('{"n": 1, "by": {"first": true, "x": [1, "2"]}}', 'by.x must be two finite numbers, not [1, "2"]'),
        ('{"n": 1, "any": {"x": [0, {"y": NaN}]}}', "any.x[1].y must be a finite number, not NaN"),
        ('{"n": 1, "more": -1e999}', "more must be a finite number, not -Infinity"),
    ],
)
def test_what_differs_is_one_line(text: str, told: str) -> None:
    with pytest.raises(DataError) as caught:
        check(json.loads(text), SHAPE, "run/f.json", hint="try this")
    line = str(caught.value)
    assert line.startswith(f"run/f.json: {told}")
    assert line.endswith(" (try this)")
    assert len(line) < 140


def test_deep_values_are_walked_and_the_error_is_as_asked() -> None:
    deep: Any = float("inf")
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(ModelError, match="must be a finite number"):
        check({"x": deep}, {}, "f", error=ModelError)
