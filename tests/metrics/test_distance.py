"""Distances in the taxonomy: by hand on a tree and on a DAG, and against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linnaea.metrics import distance as module
from linnaea.metrics.counts import row_blocks
from linnaea.metrics.distance import Distances
from linnaea.ragged import Ragged
from linnaea.taxonomy.taxonomy import Taxonomy
from tests.references import metrics as reference
from tests.references.worlds import flat, sets, taxonomies, tree


def one(chosen: list[int], gold: list[int], taxonomy: Taxonomy) -> tuple[float, float, float]:
    made = Distances.of(Ragged.from_rows([chosen]), Ragged.from_rows([gold]), taxonomy).to_json()
    return made["decided"], made["missed"], made["error"]


# 0 and 1 at the top; 2 and 3 below 0, 4 below 1, 5 below 2.
TREE = tree((), (), (0,), (0,), (1,), (2,))


@pytest.mark.parametrize(
    ("chosen", "gold", "decided", "missed", "error"),
    [
        ([0, 2], [0, 2], 0, 0, 0),
        ([0, 2], [0, 3], 2, 2, 2),  # brothers: up and down
        ([0], [0, 2], 1, 1, 1),  # stopped one too early
        ([0, 2, 5], [0, 2], 1, 1, 1),  # went one too far
        ([1, 4], [0, 2, 5], 5, 5, 5),  # 4 to 1 to the root, and 0, 2, 5
        ([2], [0, 2], 0, 0, 0),  # only the most specific ones count
        ([], [0, 2, 5], 0, 3, 3),  # nothing decided: from the root
        ([0, 3], [], 2, 0, 2),
        ([], [], 0, 0, 0),
        ([0, 2, 3], [0, 2], 1, 0, 2 / 3),  # 2 is right, 3 is two away from it; 2 finds itself
        ([0, 2], [0, 2, 1, 4], 0, 2, 4 / 3),  # 4 is four away from 2
    ],
)
def test_by_hand_on_a_tree(
    chosen: list[int], gold: list[int], decided: float, missed: float, error: float
) -> None:
    assert one(chosen, gold, TREE) == pytest.approx((decided, missed, error))


def test_by_hand_on_a_dag() -> None:
    # 0 and 1 at the top; 2 below 0, 3 below both tops, 4 below 2 and 3, 5 below 4 and 1.
    dag = tree((), (), (0,), (0, 1), (2, 3), (4, 1))
    assert one([0, 1, 3], [0, 2], dag) == (2, 2, 2)  # over 0
    assert one([1], [0, 2], dag) == (3, 3, 3)  # over the root, not down to 3 and up again
    assert one([5], [1], dag) == (1, 1, 1)  # the short way to 1, not the one over 4
    assert one([5], [0, 2], dag) == (2, 2, 2)  # 5, 4, 2
    assert one([5], [0], dag) == (3, 3, 3)
    assert one([], [5], dag) == (0, 2, 2)  # the root is two above 5, though its level is 4
    assert dag.level_C.tolist() == [1, 1, 2, 2, 3, 4]


def test_flat_categories_are_two_apart() -> None:
    assert one([0, 2], [1], flat(3)) == pytest.approx((2, 2, 2))


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_equal_to_loops(data: st.DataObject) -> None:
    taxonomy = data.draw(taxonomies())
    gold, chosen = data.draw(sets(5, len(taxonomy))), data.draw(sets(5, len(taxonomy)))
    parents = [row.tolist() for row in taxonomy.parents]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "row_blocks", lambda *sets, size: row_blocks(*sets, size=2))
        made = Distances.of(Ragged.from_dense(chosen), Ragged.from_dense(gold), taxonomy)
    for row in range(5):
        decided, missed = reference.distance(
            set(np.flatnonzero(chosen[row]).tolist()), set(np.flatnonzero(gold[row]).tolist()), parents
        )
        assert (made.decided_N[row], made.missed_N[row]) == (sum(decided), sum(missed))
        assert (made.decided_sizes_N[row], made.missed_sizes_N[row]) == (len(decided), len(missed))
    errors = made.per_document()["error"]
    assert made.to_json()["error"] == pytest.approx(errors.mean())


def test_no_documents() -> None:
    nothing = Ragged.from_rows([])
    assert Distances.of(nothing, nothing, TREE).to_json() == {"error": 0, "decided": 0, "missed": 0}
