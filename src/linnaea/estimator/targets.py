"""y in its three shapes, as labels that a training understands, and decisions back in the shape that was given.

- one label a document: a list, array or Series of strings, numbers or booleans;
- a list of labels a document: ids, names or paths;
- an indicator matrix: numpy, scipy.sparse, nested lists, or a DataFrame whose columns are named by categories.

Shape letters: N documents, K classes (labels that ``predict`` can give), C categories of the taxonomy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from scipy.sparse import csr_array, issparse
from sklearn.utils import assert_all_finite, column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from linnaea.corpus.labels import LabelError, LabelResolver
from linnaea.corpus.records import received
from linnaea.corpus.tables import plain
from linnaea.estimator.inputs import InputError, listed
from linnaea.ragged import Ragged

Kind = Literal["one", "lists", "indicator"]
SHAPES = {
    "one": "one label a document",
    "lists": "a list of labels a document",
    "indicator": "an indicator matrix",
}
_ROWS = (list, tuple, set, frozenset, np.ndarray)


@dataclass(frozen=True, eq=False)
class Target:
    """A y.

    Attributes:
        values_N: kind "one": the labels.
        rows: kind "lists": the labels of each document.
        matrix: kind "indicator": ``[N, K]`` int64, of zeros and ones.
        names: its columns, if they have names.
        sparse: whether it came as a sparse matrix.
    """

    kind: Kind
    values_N: np.ndarray | None = None
    rows: tuple[tuple[str, ...], ...] = ()
    matrix: csr_array | None = None
    names: tuple[Any, ...] | None = None
    sparse: bool = False

    def __len__(self) -> int:
        if self.values_N is not None:
            return len(self.values_N)
        return len(self.rows) if self.matrix is None else int(self.matrix.shape[0])

    @property
    def written(self) -> list[str]:
        """The distinct strings in it that may be paths, sorted."""
        if self.values_N is not None:
            return sorted({value for value in self.values_N.tolist() if isinstance(value, str)})
        if self.kind == "lists":
            return sorted({label for row in self.rows for label in row})
        return [str(name) for name in self.names or ()]


def read_target(y: Any) -> Target:
    """What y is.

    Raises:
        InputError: none of the three shapes, a missing label, a number that is neither 0 nor 1 in a matrix.
        ValueError: as scikit-learn's own checks of classification targets.
    """
    if y is None:
        raise InputError("requires y to be passed, but the target y is None", where="y")
    if issparse(y):
        return _indicator(y, None, sparse=True)
    if hasattr(y, "columns") and hasattr(y, "iloc"):
        names = tuple(y.columns)
        numbered = names == tuple(range(len(names)))
        return _matrix(y.to_numpy(), None if numbered else names)
    if isinstance(y, np.ndarray) and y.ndim == 2 and y.dtype.kind != "U":
        return _matrix(y, None)
    items = listed(y, "y")
    if not any(isinstance(item, _ROWS) for item in items):
        return _single(y, items)
    if all(isinstance(item, _ROWS) and _numbers(item) for item in items) and any(map(len, items)):
        return _matrix(_stacked(items), None)
    return Target("lists", rows=tuple(_row(place, item) for place, item in enumerate(items)))


def _numbers(row: Iterable[Any]) -> bool:
    return all(
        isinstance(item, bool | int | float | np.generic) and not isinstance(item, str) for item in row
    )


def _stacked(items: Sequence[Any]) -> np.ndarray:
    wanted = len(items[0])
    for place, item in enumerate(items):
        if len(item) != wanted:
            hint = "lists of labels hold strings; an indicator has a 0 or 1 for every category"
            raise InputError(f"{len(item)} numbers, and y[0] has {wanted}", where=f"y[{place}]", hint=hint)
    return np.asarray([list(item) for item in items])


def _row(place: int, item: Any) -> tuple[str, ...]:
    where = f"y[{place}]"
    if not isinstance(item, _ROWS):
        if isinstance(item, str):
            raise InputError(
                f"expected a list of labels, received {received(item)}", where=where, hint=f"write [{item!r}]"
            )
        what = "no labels" if plain(item) is None else f"expected a list of labels, received {received(item)}"
        raise InputError(what, where=where, hint="write [] for a document that belongs nowhere")
    labels = sorted(item) if isinstance(item, set | frozenset) else list(item)
    for label in labels:
        if not isinstance(label, str):
            raise InputError(
                f"expected a list of strings, received {received(plain(label))} in it", where=where
            )
    return tuple(dict.fromkeys(labels))


def _single(y: Any, items: list[Any]) -> Target:
    for place, item in enumerate(items):
        if plain(item) is None:
            raise InputError("has no label (NaN or None)", where=f"y[{place}]", hint="leave the document out")
    kinds = {type(plain(item)).__name__ for item in items}
    if len(kinds) > 1 and not kinds <= {"int", "float", "bool"}:
        raise InputError(f"labels are of several types: {', '.join(sorted(kinds))}", where="y")
    values = np.asarray(y if isinstance(y, np.ndarray) else items)
    try:
        if values.dtype.kind == "f":
            assert_all_finite(values, input_name="y")
        if len(values):
            check_classification_targets(values)
    except ValueError as error:
        raise InputError(str(error).splitlines()[0]) from None
    return Target("one", values_N=values)


def _matrix(values: np.ndarray, names: tuple[Any, ...] | None) -> Target:
    if values.ndim == 2 and values.shape[1] == 1 and names is None:
        flat = column_or_1d(values, warn=True)
        return _single(flat, flat.tolist())
    if values.ndim != 2:
        raise InputError(f"expected one or two dimensions, received {values.ndim}", where="y")
    if values.dtype.kind == "O":
        strings = [isinstance(item, str) for item in values.ravel()]
        if strings and all(strings):
            return Target("lists", rows=tuple(_row(place, row) for place, row in enumerate(values.tolist())))
        cells = np.ndenumerate(values)
        wrong = [place for place, item in cells if isinstance(item, str) or plain(item) not in (0, 1)][:1]
    else:
        wrong = np.argwhere((values != 0) & (values != 1))[:1].tolist()  # a NaN differs from both
    for row, column in wrong:
        what = f"an indicator holds 0 and 1, not {received(plain(values[row, column]))}"
        raise InputError(what, where=f"y[{row}, {column}]")
    return _indicator(values.astype(np.int64), names)


def _indicator(values: Any, names: tuple[Any, ...] | None, *, sparse: bool = False) -> Target:
    matrix = csr_array(values)
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    if (matrix.data != 1).any():
        raise InputError(f"an indicator holds 0 and 1, not {matrix.data[matrix.data != 1][0]}", where="y")
    if not matrix.shape[1]:
        raise InputError("an indicator without columns", where="y")
    return Target("indicator", matrix=matrix.astype(np.int64), names=names, sparse=sparse)


@dataclass(frozen=True, eq=False)
class Form:
    """How decisions are given back.

    Attributes:
        classes_K: what stands for each class; ``columns_K``: its category.
        resolver: finds what a label means; ``paths``: labels are written in several ways.
        strict: categories were given, so that another label is an error; else it is one that nobody can predict.
    """

    kind: Kind
    classes_K: np.ndarray
    columns_K: np.ndarray
    resolver: LabelResolver
    strict: bool
    paths: bool = False
    sparse: bool = False

    def give_back(self, chosen: Ragged, best_N: np.ndarray) -> Any:
        """Decisions in the shape of y.

        Args:
            chosen: categories of N documents, ascending, so that the deepest is the last.
            best_N: the class with the best score, for a document of which nothing is decided and which has to have one.
        """
        class_C = np.full(len(self.resolver.taxonomy), -1)
        class_C[self.columns_K] = np.arange(len(self.columns_K))
        classes = class_C[chosen.values]
        if self.kind == "one":
            some_N = chosen.lengths_N > 0
            ends_N = chosen.offsets_N1[1:][some_N] - 1
            best_N[some_N] = classes[ends_N]
            return self.classes_K[best_N]
        if self.kind == "lists":
            labels = self.classes_K[classes].tolist()
            offsets = chosen.offsets_N1.tolist()
            return [labels[start:end] for start, end in pairwise(offsets)]
        known = classes >= 0
        place = (chosen.rows[known], classes[known])
        shape = (len(chosen), len(self.classes_K))
        matrix = csr_array((np.ones(int(known.sum()), dtype=np.int64), place), shape=shape)
        return matrix if self.sparse else matrix.toarray()

    def canonical(self, values_N: np.ndarray) -> np.ndarray:
        """Labels as ``predict`` writes them; unknown ones as they are."""
        if not self.paths:
            return values_N
        as_given = dict(zip(self.columns_K.tolist(), self.classes_K.tolist(), strict=True))
        found = {value: self._find(value) for value in set(values_N.tolist())}
        return np.array(
            [value if found[value] is None else as_given[found[value]] for value in values_N.tolist()],
            dtype=object,
        )

    def _find(self, label: str) -> int | None:
        try:
            return self.resolver.find(label)
        except LabelError as error:
            if self.strict:
                raise InputError(error.message, where="y", hint=error.hint) from None
            return None

    def gold(self, rows: Sequence[Sequence[str]]) -> tuple[Ragged, np.ndarray]:
        """Gold of lists of labels, closed as the task says, and how many labels of each document nobody can predict.

        Raises:
            InputError: an unknown label, where the categories were given.
        """
        found = {label: self._find(label) for label in {label for row in rows for label in row}}
        known = [[label for label in row if found[label] is not None] for row in rows]
        missed_N = np.array([len(row) for row in rows]) - [len(row) for row in known]
        return self.resolver.rows(known), missed_N


def written_forms(target: Target, resolver: LabelResolver) -> list[str]:
    """``[C]``: each category as y writes it, most often; others by path, if y has paths, else by id."""
    taxonomy = resolver.taxonomy
    counts: Counter[str] = Counter()
    for row in target.rows:
        counts.update(row)
    counts.update([] if target.values_N is None else target.values_N.tolist())
    forms: dict[int, str] = {}
    for label, _ in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])):
        forms.setdefault(resolver.find(label), label)
    paths = any(taxonomy.separator in label for label in counts)
    return [
        forms.get(column) or (taxonomy.path(column) if paths else id)
        for column, id in enumerate(taxonomy.ids)
    ]
