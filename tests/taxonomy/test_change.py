"""What lies between two taxonomies, against small ones done by hand."""

from __future__ import annotations

import pytest

from linnaea.errors import UsageError
from linnaea.taxonomy.change import Change, read_renames
from linnaea.taxonomy.taxonomy import Taxonomy

PARENTS = {"a": [], "b": [], "a1": ["a"], "a2": ["a"], "b1": ["b"], "a11": ["a1"], "x": ["a2", "b1"]}


def taxonomy(parents: dict[str, list[str]], **names: str) -> Taxonomy:
    return Taxonomy.build(list(parents), [names.get(id, id) for id in parents], list(parents.values()))


def change(parents: dict[str, list[str]], renames: dict[str, str] | None = None, **names: str) -> Change:
    return Change.between(taxonomy(PARENTS), taxonomy(parents, **names), renames)


def ids(of: Change, columns: tuple[int, ...]) -> list[str]:
    return [of.new.ids[c] for c in columns]


def test_nothing_changes() -> None:
    backwards = change({"b": [], "a": [], **{id: p for id, p in reversed(PARENTS.items()) if p}})
    assert backwards.empty
    assert list(backwards.lines()) == []
    assert [backwards.new.ids[c] for c in backwards.new_P] == list(backwards.old.ids)


def test_added_and_removed() -> None:
    parents = {**PARENTS, "a12": ["a1"], "c": []}
    del parents["a2"]
    parents["x"] = ["b1"]
    found = change(parents)
    assert set(ids(found, found.added)) == {"a12", "c"}
    assert [found.old.ids[c] for c in found.removed] == ["a2"]
    assert ids(found, found.moved) == ["x"], "one of its parents is gone"
    assert found.renamed == ()
    assert not found.empty


def test_what_stands_below_a_moved_one_is_not_moved() -> None:
    found = change({**PARENTS, "a1": ["b"]})
    assert ids(found, found.moved) == ["a1"]
    assert set(ids(found, found.disturbed)) == {"a", "b"}


def test_an_inserted_category_moves_what_is_below_it() -> None:
    found = change({**PARENTS, "mid": ["a"], "a1": ["mid"]})
    assert ids(found, found.added) == ["mid"]
    assert ids(found, found.moved) == ["a1"]
    assert found.disturbed == (), "a1's documents were a's before"


def test_a_new_name_and_a_new_id() -> None:
    parents = {("z" if id == "a" else id): ["z" if p == "a" else p for p in p] for id, p in PARENTS.items()}
    found = change(parents, {"a": "z"}, b1="another name")
    assert set(ids(found, found.renamed)) == {"z", "b1"}
    assert found.added == found.removed == found.moved == ()
    assert found.to_json()["renamed"][0] == {"from": "a", "to": "z", "name_before": "a", "name": "z"}
    alone = change(parents)
    assert ids(alone, alone.added) == ["z"]
    assert set(ids(alone, alone.moved)) == {"a1", "a2"}


def test_documents_of_a_removed_category_go_to_its_parents() -> None:
    parents = {"a": [], "b": [], "a1": ["a"], "a11": ["a1"]}
    found = change(parents)
    heirs = {
        found.old.ids[column]: [found.new.ids[c] for c in columns]
        for column, columns in enumerate(found.heirs)
    }
    assert heirs["a11"] == ["a11"]
    assert heirs["a2"] == ["a"]
    assert heirs["x"] == ["a", "b"], "by way of a2 and b1, which are gone too"
    gone = change({id: p for id, p in PARENTS.items() if id not in ("b", "b1", "x")})
    assert gone.heirs[gone.old.index["b1"]] == (), "nothing above it is left"


def test_the_plan_of_a_change_is_told() -> None:
    found = change({**PARENTS, "new": ["b"], "a1": ["b"]})
    told = "\n".join(found.lines())
    assert "added:        1  new" in told
    assert "a1 (a -> b)" in told


@pytest.mark.parametrize(
    ("renames", "message"),
    [
        ({"q": "z"}, "the model has no category 'q'"),
        ({"a1": "nowhere"}, "the new taxonomy has no category 'nowhere'"),
        ({"a1": "b1"}, "cannot become 'b1', which the model has already"),
        ({"b": "z"}, "'b' is still there"),
        ({"a1": "z", "a2": "z"}, "'a1' and 'a2' cannot both become 'z'"),
    ],
)
def test_renames_that_do_not_hold(renames: dict[str, str], message: str) -> None:
    parents = {id: p for id, p in PARENTS.items() if id not in ("a1", "a2", "a11")} | {
        "z": ["a"],
        "x": ["b1"],
    }
    with pytest.raises(UsageError, match=message) as caught:
        change(parents, renames)
    assert caught.value.where == "--rename"


def test_renames_are_read() -> None:
    old = Taxonomy.build(["a", "b=c", "d"], ["a", "b=c", "d"], [[], [], []])
    new = Taxonomy.build(["z", "y", "d"], ["z", "y", "d"], [[], [], []])
    assert read_renames(["a=z", "b=c=y"], old, new) == {"a": "z", "b=c": "y"}
    for text in ("a", "=z", "a="):
        with pytest.raises(UsageError, match="expected OLD=NEW"):
            read_renames([text], old, new)
    with pytest.raises(UsageError, match="renamed twice"):
        read_renames(["a=z", "a=y"], old, new)
