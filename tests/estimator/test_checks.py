"""scikit-learn's own checks of estimators.

They hand over arrays of numbers, which a text classifier refuses, so scikit-learn itself runs none but the first of them
on it. ``OnNumbers`` writes each row as a text and is otherwise the estimator: all checks run on it, and none may fail.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import accuracy_score
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_is_fitted, validate_data

from linnaea import TextClassifier


class OnNumbers(TextClassifier):
    """Reads numbers, as words such as ``0:-3``: column and value in halves."""

    def fit(self, X: Any, y: Any) -> OnNumbers:
        numbers = [] if y is None else validate_data(self, X)
        return super().fit(_texts(numbers), y)

    def predict(self, X: Any) -> Any:
        check_is_fitted(self)
        return super().predict(_texts(validate_data(self, X, reset=False)))

    def predict_proba(self, X: Any) -> Any:
        check_is_fitted(self)
        return super().predict_proba(_texts(validate_data(self, X, reset=False)))

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        return float(accuracy_score(y, self.predict(X), sample_weight=sample_weight))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        tags.input_tags.one_d_array = tags.input_tags.string = False
        return tags


def _texts(numbers: Any) -> list[str]:
    rows = np.floor(2 * np.asarray(numbers, dtype=np.float64)).tolist()
    return [" ".join(f"{column}:{value:.0f}" for column, value in enumerate(row)) for row in rows]


SETTINGS = {"input.tokenizer": "whitespace", "input.vocabulary.min_count": 1}


@parametrize_with_checks([OnNumbers(settings=SETTINGS)])
def test_scikit_learns_checks(estimator: Any, check: Callable[[Any], None]) -> None:
    if getattr(check, "func", check).__name__ == "check_array_api_input":
        pytest.skip("asks for SCIPY_ARRAY_API to be set before scipy is imported")
    check(estimator)


def test_numbers_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"^X: expected one text a document, received an array of shape \(4, 2\) "
    ):
        TextClassifier().fit(np.zeros((4, 2)), [0, 1, 0, 1])
