"""Decoders: by hand, against loops and C-HMCNN's dense definition; coherence on random trees and DAGs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linnaea.config.outcome import DecisionConfig
from linnaea.config.task import TaskConfig
from linnaea.decision.decider import Decider, build_decoder
from linnaea.decision.decoding import violations
from linnaea.decision.thresholds import fit_decider
from linnaea.ragged import Ragged
from linnaea.taxonomy.taxonomy import Taxonomy
from tests.references import decision as reference
from tests.references.worlds import flat, matrices, predictions, sets, taxonomies, thresholds, tree

LOOPED = ["ancestors", "top_down", "max"]
COHERENT = [*LOOPED, "best", "one_path", {"type": "one_path", "to": "leaf"}, "one_per_level"]
# a over b over c; d has the two parents a and e; columns: a e (level 1), b d (level 2), c (level 3).
FIVE = Taxonomy.build(
    ["a", "b", "c", "d", "e"], ["a", "b", "c", "d", "e"], [[], ["a"], ["b"], ["a", "e"], []]
)


def parents_of(taxonomy: Taxonomy) -> list[list[int]]:
    return [row.tolist() for row in taxonomy.parents]


def decider(taxonomy: Taxonomy, thresholds_C: np.ndarray, decoding: object, **options: object) -> Decider:
    """As fit_decider makes it: the decoder has put the thresholds in order."""
    config = DecisionConfig.read({"decoding": decoding}).decoding
    ordered = build_decoder(config, taxonomy).thresholds(thresholds_C)
    return Decider(taxonomy, ordered, config, **options)  # type: ignore[arg-type]


def names(taxonomy: Taxonomy, columns: np.ndarray) -> str:
    return "".join(sorted(taxonomy.ids[c] for c in columns))


@pytest.mark.parametrize(
    ("decoding", "chosen", "printed"),
    [
        ("none", "cd", {"c": 0.9, "d": 0.75}),
        ("ancestors", "abcde", {"a": 0.9, "b": 0.9, "c": 0.9, "d": 0.75, "e": 0.75}),
        ("top_down", "", {}),
        ("max", "abcde", {"a": 0.9, "b": 0.9, "c": 0.9, "d": 0.75, "e": 0.75}),
    ],
)
def test_by_hand(decoding: str, chosen: str, printed: dict[str, float]) -> None:
    scores = {"a": 0.25, "b": 0.125, "c": 0.9, "d": 0.75, "e": 0.4375}
    given_ = predictions([[scores[id] for id in FIVE.ids]], FIVE)
    made = decider(FIVE, np.full(5, 0.5), decoding).decide(given_)
    assert names(FIVE, made.chosen[0]) == chosen
    shown = {FIVE.ids[c]: s for c, s in zip(made.chosen[0], made.scores, strict=True)}
    assert shown == pytest.approx(printed)


def test_ancestor_that_is_decided_itself_keeps_its_score() -> None:
    scores = {"a": 0.625, "b": 0.125, "c": 0.875, "d": 0.0, "e": 0.0}
    made = decider(FIVE, np.full(5, 0.5), "ancestors").decide(
        predictions([[scores[i] for i in FIVE.ids]], FIVE)
    )
    assert {FIVE.ids[c]: s for c, s in zip(made.chosen[0], made.scores, strict=True)} == {
        "a": 0.625,
        "b": 0.875,
        "c": 0.875,
    }


@pytest.mark.parametrize("closure", ["ancestors", "path"])
def test_violations_by_hand(closure: str) -> None:
    column = FIVE.index
    chosen = [["c"], ["d"], ["a", "d"], ["a", "b", "c", "d", "e"], [], ["b", "c", "d"]]
    rows = Ragged.from_rows([sorted(column[i] for i in row) for row in chosen])
    expected = {"ancestors": [1, 2, 1, 0, 0, 3], "path": [1, 1, 0, 0, 0, 2]}[closure]
    assert violations(rows, FIVE, closure).tolist() == expected  # type: ignore[arg-type]


def test_flat_taxonomies_cannot_be_contradicted() -> None:
    assert violations(Ragged.from_rows([[0, 2], []]), flat(3)).tolist() == [0, 0]


def test_max_lowers_a_parents_threshold_to_its_lowest_descendant() -> None:
    decoder = build_decoder(DecisionConfig.read({"decoding": "max"}).decoding, FIVE)
    given_ = {"a": 0.5, "b": 0.9, "c": np.inf, "d": 0.3, "e": np.inf}
    lowered = decoder.thresholds(np.array([given_[id] for id in FIVE.ids]))
    assert dict(zip(FIVE.ids, lowered.tolist(), strict=True)) == {
        "a": 0.3,
        "b": 0.9,
        "c": np.inf,
        "d": 0.3,
        "e": 0.3,
    }


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_equal_to_loops(data: st.DataObject) -> None:
    taxonomy = data.draw(taxonomies())
    columns = len(taxonomy)
    scores = data.draw(matrices(4, columns))
    bounds = data.draw(thresholds(columns))
    decoding = data.draw(st.sampled_from(["none", *LOOPED]))
    top_k = data.draw(st.one_of(st.none(), st.integers(1, columns + 1)))
    made = decider(taxonomy, bounds, decoding, top_k=top_k).decide(predictions(scores, taxonomy))
    for row in range(len(scores)):
        expected = reference.decide(
            scores[row].tolist(), bounds.tolist(), parents_of(taxonomy), decoding, top_k
        )
        assert made.chosen[row].tolist() == list(expected)
        start, end = made.chosen.offsets_N1[row : row + 2]
        assert made.scores[start:end].tolist() == list(expected.values())


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_never_contradicts_the_taxonomy(data: st.DataObject) -> None:
    taxonomy = data.draw(taxonomies())
    bounds = data.draw(thresholds(len(taxonomy)))
    scores = data.draw(matrices(5, len(taxonomy)))
    decoding = data.draw(st.sampled_from(COHERENT))
    top_k = data.draw(st.one_of(st.none(), st.integers(1, len(taxonomy))))
    sparse = data.draw(st.booleans())
    made = decider(taxonomy, bounds, decoding, top_k=top_k)
    chosen = made.decide(predictions(scores, taxonomy, sparse=sparse and top_k is not None)).chosen
    for closure in ("ancestors", "path", "none"):
        assert violations(chosen, taxonomy, closure).sum() == 0  # type: ignore[arg-type]


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_fitted_deciders_never_contradict_the_taxonomy(data: st.DataObject) -> None:
    taxonomy = data.draw(taxonomies())
    columns = len(taxonomy)
    gold = taxonomy.close(Ragged.from_dense(data.draw(sets(12, columns))))
    scores = predictions(data.draw(matrices(12, columns, steps=32)), taxonomy)
    support = np.array(data.draw(st.lists(st.integers(0, 2), min_size=columns, max_size=columns)))
    decoding = data.draw(st.sampled_from(COHERENT))
    rule = {
        "type": data.draw(st.sampled_from(["global", "per_category"])),
        "aim": data.draw(st.sampled_from(["micro_f1", "macro_f1", "both"])),
    }
    paths = data.draw(st.sampled_from(["many", "one"]))
    config = DecisionConfig.read({"threshold": rule, "decoding": decoding})
    made = fit_decider(config, TaskConfig(paths=paths), scores, gold, support, taxonomy).decide(scores)
    assert violations(made.chosen, taxonomy).sum() == 0


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_violations_equal_to_loops(data: st.DataObject) -> None:
    taxonomy = data.draw(taxonomies())
    chosen = data.draw(sets(4, len(taxonomy)))
    closure = data.draw(st.sampled_from(["ancestors", "path", "none"]))
    counted = violations(Ragged.from_dense(chosen), taxonomy, closure)
    parents = parents_of(taxonomy)
    assert counted.tolist() == [
        reference.violations(set(np.flatnonzero(row).tolist()), parents, closure) for row in chosen
    ]


def test_max_is_the_dense_definition_bit_for_bit() -> None:
    rng = np.random.default_rng(3)
    parents = [tuple(sorted({int(p) for p in rng.integers(0, i, 2)})) if i > 4 else () for i in range(60)]
    taxonomy = tree(*parents)
    scores = rng.random((200, 60), dtype=np.float32)
    below_CC = np.stack([taxonomy.descendants.dense(60)[c] for c in range(60)])
    dense = np.where(below_CC[None], scores[:, None, :], 0).max(axis=2)
    made = build_decoder(DecisionConfig.read({"decoding": "max"}).decoding, taxonomy).scores(scores)
    assert made.dtype == np.float32
    np.testing.assert_array_equal(made, dense)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_decoding_what_is_decoded_changes_nothing(data: st.DataObject) -> None:
    taxonomy = data.draw(taxonomies())
    scores, bounds = data.draw(matrices(4, len(taxonomy))), data.draw(thresholds(len(taxonomy)))
    for decoding in LOOPED:
        decoder = build_decoder(DecisionConfig.read({"decoding": decoding}).decoding, taxonomy)
        seen, ordered = decoder.scores(scores), decoder.thresholds(bounds)
        np.testing.assert_array_equal(decoder.scores(seen), seen)
        np.testing.assert_array_equal(decoder.thresholds(ordered), ordered)
        once = decoder.decode(seen >= ordered)
        np.testing.assert_array_equal(decoder.decode(once), once)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_higher_scores_take_nothing_away(data: st.DataObject) -> None:
    taxonomy = data.draw(taxonomies())
    scores, more = data.draw(matrices(4, len(taxonomy))), data.draw(matrices(4, len(taxonomy)))
    bounds = data.draw(thresholds(len(taxonomy)))
    for decoding in LOOPED:
        made = decider(taxonomy, bounds, decoding)
        before, after = (
            made.decide(predictions(given_, taxonomy)).chosen.dense(len(taxonomy))
            for given_ in (scores, np.maximum(scores, more))
        )
        assert not (before & ~after).any()


@pytest.mark.parametrize("decoding", COHERENT)
def test_no_documents_and_no_decisions(decoding: object) -> None:
    made = decider(FIVE, np.full(5, np.inf), decoding)
    assert len(made.decide(predictions(np.zeros((0, 5)), FIVE)).chosen) == 0
    assert [row.tolist() for row in made.decide(predictions(np.ones((2, 5)), FIVE)).chosen] == [[], []]


@pytest.mark.parametrize("decoding", COHERENT)
def test_decoders_leave_their_input_alone(decoding: object) -> None:
    scores = np.array([[0.1, 0.2, 0.3, 0.4, 0.9]], dtype=np.float32)
    before = scores.copy()
    decider(FIVE, np.full(5, 0.5), decoding).decide(predictions(scores, FIVE))
    np.testing.assert_array_equal(scores, before)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_single_path_equal_to_enumeration(data: st.DataObject) -> None:
    taxonomy = data.draw(taxonomies())
    columns = len(taxonomy)
    scores = data.draw(matrices(3, columns))
    bounds = np.minimum(data.draw(thresholds(columns)), 1.0)
    closure = data.draw(st.sampled_from(["ancestors", "path", "none"]))
    decoding = data.draw(st.sampled_from(["none", "ancestors", "max"]))
    made = decider(taxonomy, bounds, decoding, paths="one", closure=closure)
    if closure == "none" and decoding != "none":
        closure = "ancestors"  # what was decoded to be coherent stays so
    chosen = made.decide(predictions(scores, taxonomy)).chosen
    parents = parents_of(taxonomy)
    seen = build_decoder(made.decoding, taxonomy).scores(scores)
    for row in range(len(scores)):
        decided = set(reference.decide(scores[row].tolist(), bounds.tolist(), parents, decoding))
        paths = reference.decided_paths(decided, parents, closure)
        found = set(chosen[row].tolist())
        assert found in paths if paths else found == set()
        values = seen[row].tolist(), made.thresholds_C.tolist()
        best = max((reference.worth(path, *values) for path in paths), default=0.0)
        assert reference.worth(found, *values) == pytest.approx(best)
        if closure != "none":
            assert violations(chosen.take(np.array([row])), taxonomy, closure).sum() == 0


def test_single_path_is_a_chain_in_a_tree() -> None:
    taxonomy = tree((), (), (0,), (1,))  # c0 over c2, c1 over c3
    scores = [[0.9, 0.8, 0.55, 0.75], [0.9, 0.4, 0.3, 0.95], [0.2, 0.3, 0.9, 0.1]]
    made = decider(taxonomy, np.full(4, 0.5), "none", paths="one").decide(predictions(scores, taxonomy))
    # log-odds 2.20 + 0.20 against 1.39 + 1.10; then only c0 has its parents; then nothing has.
    assert [row.tolist() for row in made.chosen] == [[1, 3], [0], []]
