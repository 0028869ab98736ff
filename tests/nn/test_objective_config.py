"""The objective's settings: which losses go with what, and recursive regularisation by number or object."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from linnaea.config.config import Config, schema
from linnaea.config.objective import LossConfig, ObjectiveConfig
from linnaea.config.registry import losses
from linnaea.errors import ConfigError

HIERARCHICAL = {"type": "hierarchical", "taxonomy": "t.tsv"}
ALONE = {"strategy": "per_category"}
GRU = {"encoder": "gru_attention"}


def told(value: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        Config.build(value)
    return str(caught.value)


@pytest.mark.parametrize("type", ["binary", "multiclass", "multilabel"])
def test_flat_tasks_have_no_max_constraint(type: str):
    message = told({"task": {"type": type}, "objective": {"loss": "max_constraint"}})
    assert (
        f"objective.loss: 'max_constraint' holds scores to a taxonomy, and a {type} task is flat" in message
    )


@pytest.mark.parametrize("closure", ["path", "none"])
def test_gold_under_the_max_constraint_has_all_ancestors(closure: str):
    task = {**HIERARCHICAL, "closure": closure}
    message = told({"task": task, "objective": {"loss": "max_constraint"}})
    assert message.startswith(f"task.closure: under '{closure}' gold may lack ancestors")
    Config.build({"task": HIERARCHICAL, "objective": {"loss": "max_constraint"}})


@pytest.mark.parametrize("loss", ["class_balanced", "distribution_balanced", "zlpr"])
def test_losses_over_several_categories_need_several(loss: str):
    message = told({"task": {"type": "binary"}, "objective": {"loss": loss}})
    assert f"objective.loss: '{loss}' weighs categories against each other; a binary task has one" in message
    message = told({"task": HIERARCHICAL, "training": ALONE, "model": GRU, "objective": {"loss": loss}})
    assert f"objective.loss: '{loss}' weighs categories against each other; one network a category" in message
    Config.build({"task": {"type": "multilabel"}, "objective": {"loss": loss}})


def test_one_network_a_category_under_the_asymmetric_loss():
    given = {"task": HIERARCHICAL, "training": ALONE, "model": GRU, "objective": {"loss": "asymmetric"}}
    Config.build(given)
    searched = {**given, "training": {"strategy": {"type": "per_category", "search": "weights"}}}
    message = told(searched)
    assert "training.strategy.search: under the loss 'asymmetric' class weights give no threshold" in message


@pytest.mark.parametrize("name", losses.names())
@pytest.mark.parametrize("weights", ["balanced", {"a": 2.0}, "from runs/x"])
def test_class_weights_where_they_can_be_taken_back(name: str, weights: Any):
    value = {"loss": name, "class_weights": weights}
    config: Any = losses.config(name)
    if config.weighable:
        ObjectiveConfig.read(value)
        return
    with pytest.raises(ConfigError) as caught:
        ObjectiveConfig.read(value, "objective")
    assert str(caught.value).startswith(
        f"objective.class_weights: under the loss '{name}' weights cannot be taken back from the scores"
    )


def test_which_losses_take_class_weights():
    taking = {name for name in losses if losses.config(name).weighable}  # type: ignore[attr-defined]
    assert taking == {"bce", "focal_sigmoid", "softmax", "focal_softmax", "class_balanced"}
    assert LossConfig.weighable


@pytest.mark.parametrize(
    ("given", "factor", "C", "dag", "root"),
    [
        (1e-6, 1e-6, None, "edges", False),
        (1, 1.0, None, "edges", False),
        ({"factor": 0.5, "root": True}, 0.5, None, "edges", True),
        ({"C": 2.0, "dag": "mean_parent"}, None, 2.0, "mean_parent", False),
    ],
)
def test_a_penalty_is_a_number_or_an_object(given: Any, factor, C, dag: str, root: bool):
    found = ObjectiveConfig.read({"recursive_penalty": given}).recursive
    assert found is not None
    assert (found.factor, found.C, found.dag, found.root) == (factor, C, dag, root)


def test_no_penalty():
    assert ObjectiveConfig().recursive is None
    assert ObjectiveConfig.read({"recursive_penalty": 0}).recursive is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (-1.0, "objective.recursive_penalty: must be at least 0, not -1.0"),
        ("much", "objective.recursive_penalty: must be a number or an object, not 'much'"),
        ({}, "objective.recursive_penalty: has no strength (give factor or C)"),
        (
            {"root": True},
            "objective.recursive_penalty: has no strength (give factor or C)",
        ),
        (
            {"factor": 1.0, "C": 1.0},
            "objective.recursive_penalty.C: C and factor say the same (give one of the two)",
        ),
        ({"factor": 0.0}, "objective.recursive_penalty.factor: must be above 0, not 0.0"),
        ({"C": -2}, "objective.recursive_penalty.C: must be above 0, not -2"),
        (
            {"factor": 1.0, "dag": "mean_parents"},
            "objective.recursive_penalty.dag: must be one of edges, mean_parent, not 'mean_parents' "
            "(did you mean 'mean_parent'?)",
        ),
        (
            {"factors": 1.0},
            "objective.recursive_penalty.factors: unknown key (did you mean 'factor'?)",
        ),
    ],
    ids=str,
)
def test_wrong_penalties(given: Any, message: str):
    with pytest.raises(ConfigError) as caught:
        ObjectiveConfig.read({"recursive_penalty": given}, "objective")
    assert str(caught.value) == message


def test_a_penalty_by_C_needs_edges_and_several_categories_as_a_number_does():
    penalty = {"recursive_penalty": {"C": 1.0}}
    message = told({"task": {"type": "multilabel"}, "objective": penalty})
    assert message.startswith("objective.recursive_penalty: needs a taxonomy with edges")
    message = told({"task": HIERARCHICAL, "training": ALONE, "model": GRU, "objective": penalty})
    assert message.startswith("objective.recursive_penalty: one network a category has no weights to tie")


@pytest.mark.parametrize(
    "objective",
    [
        {"recursive_penalty": {"C": 0.42, "dag": "mean_parent", "root": True}, "loss": "max_constraint"},
        {"recursive_penalty": 1e-6, "loss": {"type": "distribution_balanced", "kappa": 0.1}},
        {"loss": {"type": "asymmetric", "margin": 0.0}},
        {"loss": {"type": "class_balanced", "beta": 0.9}, "class_weights": "balanced"},
    ],
    ids=str,
)
def test_what_is_dumped_can_be_read_again(objective: dict[str, Any]):
    config = Config.build({"task": HIERARCHICAL, "objective": objective})
    assert Config.build(config.dump()).objective == config.objective


def test_it_can_be_set(tmp_path: Path):
    file = tmp_path / "c.json"
    file.write_text('{"task": {"type": "hierarchical", "taxonomy": "t.tsv"}}', encoding="utf-8")
    config = Config.load(file, ["objective.recursive_penalty.C=0.5", "objective.loss=zlpr"])
    assert config.objective.recursive is not None
    assert config.objective.recursive.C == 0.5


def test_the_schema_knows_both_forms():
    branches = schema()["$defs"]["ObjectiveConfig"]["properties"]["recursive_penalty"]["anyOf"]
    assert {"minimum": 0, "type": "number"} in branches
    assert {"$ref": "#/$defs/RecursivePenaltyConfig"} in branches
