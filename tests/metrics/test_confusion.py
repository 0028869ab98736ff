"""Confusions and groups of categories: by hand, and against plain loops."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linnaea.metrics import confusion as module
from linnaea.metrics.confusion import Confusions
from linnaea.metrics.counts import Counts
from linnaea.metrics.groups import group_rows, groups
from linnaea.ragged import Ragged
from tests.references.worlds import flat, sets, taxonomies, tree

TREE = tree((), (), (0,), (0,), (1,))


def test_by_hand() -> None:
    gold = Ragged.from_rows([[0, 2], [0, 2], [0, 3], [0, 2], [1, 4], []])
    chosen = Ragged.from_rows([[0, 3], [0, 3], [0, 2], [1, 4], [1], [0]])
    # The last but one stops early, the last is wrong without anything missed: no confusion.
    confusions = Confusions.of(chosen, gold, TREE)
    assert confusions is not None
    assert confusions.to_json() == {
        "pairs": 5,
        "between_siblings": 4,
        "confusions": [
            {"category": "c2", "taken_for": "c3", "documents": 2, "siblings": True},
            {"category": "c0", "taken_for": "c1", "documents": 1, "siblings": True},
            {"category": "c2", "taken_for": "c4", "documents": 1, "siblings": False},
            {"category": "c3", "taken_for": "c2", "documents": 1, "siblings": True},
        ],
    }
    assert len(confusions.to_json(2)["confusions"]) == 2


def test_in_a_dag_any_shared_parent_makes_siblings() -> None:
    dag = tree((), (), (0,), (0, 1), (1,))
    gold, chosen = Ragged.from_rows([[2], [2]]), Ragged.from_rows([[3], [4]])
    confusions = Confusions.of(chosen, gold, dag)
    assert confusions is not None
    shown = {row["taken_for"]: row["siblings"] for row in confusions.to_json()["confusions"]}
    assert shown == {"c3": True, "c4": False}


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_equal_to_loops(data: st.DataObject) -> None:
    taxonomy = data.draw(taxonomies())
    gold, chosen = data.draw(sets(6, len(taxonomy))), data.draw(sets(6, len(taxonomy)))
    expected: Counter[tuple[int, int]] = Counter()
    for right, decided in zip(gold, chosen, strict=True):
        for g in np.flatnonzero(right & ~decided).tolist():
            for p in np.flatnonzero(decided & ~right).tolist():
                expected[g, p] += taxonomy.level_C[g] == taxonomy.level_C[p]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "AT_ONCE", data.draw(st.sampled_from([1, 3, 2**22])))
        found = Confusions.of(Ragged.from_dense(chosen), Ragged.from_dense(gold), taxonomy)
    assert found is not None
    pairs = list(zip(found.missed_M.tolist(), found.wrong_M.tolist(), strict=True))
    assert dict(zip(pairs, found.documents_M.tolist(), strict=True)) == {
        k: n for k, n in expected.items() if n
    }
    assert (np.diff(found.documents_M) <= 0).all()
    for (one, other), siblings in zip(pairs, found.siblings_M.tolist(), strict=True):
        assert siblings == (other in taxonomy.siblings(one))


def test_more_than_anybody_can_count(monkeypatch: pytest.MonkeyPatch) -> None:
    gold, chosen = Ragged.from_rows([[0, 1], [0]]), Ragged.from_rows([[2, 3], [1]])
    monkeypatch.setattr(module, "MOST", 5)
    assert Confusions.of(chosen, gold, flat(4)) is not None
    monkeypatch.setattr(module, "MOST", 4)
    assert Confusions.of(chosen, gold, flat(4)) is None


# Groups


def test_groups_by_support() -> None:
    support_C = np.array([500, 101, 100, 20, 19, 1, 0])
    found = [(g.name, g.columns.tolist(), g.support_from, g.support_to) for g in groups(support_C)]
    assert found == [
        ("head", [0, 1], 101, 500),
        ("middle", [2, 3], 20, 100),
        ("tail", [4, 5], 1, 19),
        ("unseen", [6], 0, 0),
    ]
    assert [g.name for g in groups(np.array([3, 7]))] == ["tail"]


def test_group_rows_count_their_categories_alone() -> None:
    gold = Ragged.from_rows([[0, 1], [0], [1, 2], []])
    chosen = Ragged.from_rows([[0], [0, 1], [1, 2], [2]])
    rows = group_rows(Counts.of(chosen, gold, 4), np.array([200, 5, 6, 0]))
    assert rows == [
        {
            "group": "head", "categories": 1, "support_from": 200, "support_to": 200,
            "micro_f1": 1.0, "macro_f1": 1.0,
        },
        {
            "group": "tail", "categories": 2, "support_from": 5, "support_to": 6,
            "micro_f1": pytest.approx(4 / 7), "macro_f1": pytest.approx((1 / 2 + 2 / 3) / 2),
        },
        {
            "group": "unseen", "categories": 1, "support_from": 0, "support_to": 0,
            "micro_f1": 0.0, "macro_f1": 0.0,
        },
    ]  # fmt: skip
