"""Losses against their formulas; what they refuse; that the rules for them can fail."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from linnaea.config.registry import losses
from linnaea.errors import ConfigError
from linnaea.nn.batch import Bag
from linnaea.nn.grouped.losses import GroupedLoss
from linnaea.nn.objectives.base import Loss
from linnaea.taxonomy.taxonomy import Taxonomy
from linnaea.testing.loss_rules import RULES, LossCase
from tests.nn.cases import make_bag, make_labels, sizes, taxonomy
from tests.references import losses as reference

C = len(taxonomy())
SUPPORT, DOCUMENTS = sizes().support_C.tolist(), sizes().documents
DESCENDANTS = [row.tolist() for row in taxonomy().descendants]


def given(seed: int, single: bool) -> tuple[np.ndarray, list[list[int]], Bag, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = make_labels(rng, 9, single)
    return rng.normal(scale=3, size=(9, C)), labels, make_bag(labels), rng.uniform(0.2, 5, C)


def built(type: str, **options) -> Loss:
    """Ready to be called, over the world's taxonomy and support."""
    loss = losses.build(losses.config(type)(**options))
    loss.prepare(taxonomy(), np.array(SUPPORT), DOCUMENTS)
    return loss


FACTS = {
    "max_constraint": {"descendants": DESCENDANTS},
    "class_balanced": {"support": SUPPORT},
    "distribution_balanced": {"support": SUPPORT, "documents": DOCUMENTS},
}
TWINS = [
    ({"type": "bce"}, reference.bce, False),
    ({"type": "focal_sigmoid"}, reference.focal_sigmoid, False),
    ({"type": "focal_sigmoid", "alpha": None, "gamma": 0.5}, reference.focal_sigmoid, False),
    ({"type": "focal_sigmoid", "alpha": 0.7, "gamma": 0.0}, reference.focal_sigmoid, False),
    ({"type": "softmax"}, reference.softmax_loss, True),
    ({"type": "focal_softmax"}, reference.focal_softmax, True),
    ({"type": "focal_softmax", "gamma": 0.5}, reference.focal_softmax, True),
    ({"type": "max_constraint"}, reference.max_constraint, False),
    ({"type": "asymmetric"}, reference.asymmetric, False),
    ({"type": "asymmetric", "margin": 0.0, "gamma_positive": 1.0}, reference.asymmetric, False),
    ({"type": "asymmetric", "margin": 0.3, "gamma_negative": 0.5}, reference.asymmetric, False),
    ({"type": "class_balanced"}, reference.class_balanced, False),
    ({"type": "class_balanced", "beta": 0.5, "gamma": 1.5}, reference.class_balanced, False),
    ({"type": "distribution_balanced"}, reference.distribution_balanced, False),
    (
        {"type": "distribution_balanced", "alpha": 0.0, "beta": 3.0, "mu": 0.6, "kappa": 0.2, "gamma": 0.0},
        reference.distribution_balanced,
        False,
    ),
    ({"type": "distribution_balanced", "negative_scale": 1.0}, reference.distribution_balanced, False),
    ({"type": "zlpr"}, reference.zlpr, False),
]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("settings", "twin", "single"), TWINS, ids=lambda value: getattr(value, "__name__", str(value))
)
def test_equals_the_twin(settings, twin, single, weighted):
    logits, labels, bag, weights = given(5, single)
    options = {key: value for key, value in settings.items() if key != "type"}
    loss = built(settings["type"], **options)
    weights_C = torch.from_numpy(weights) if weighted else None
    if weighted and not losses.config(settings["type"]).weighable:
        with pytest.raises(ValueError, match="takes no class weights"):
            loss(torch.from_numpy(logits), bag, weights_C)
        return
    used, facts = weights if weighted else np.ones(C), FACTS.get(settings["type"], {})
    expected = [
        twin(row.tolist(), y, used, **options, **facts) for row, y in zip(logits, labels, strict=True)
    ]
    np.testing.assert_allclose(loss(torch.from_numpy(logits), bag, weights_C), expected, rtol=0, atol=1e-10)


def test_every_loss_has_a_twin():
    assert set(losses) == {settings["type"] for settings, _, _ in TWINS}


@pytest.mark.parametrize(
    "settings",
    [
        {"type": "asymmetric", "gamma_negative": 0.0, "margin": 0.0},
        {"type": "focal_sigmoid", "gamma": 0.0, "alpha": None},
    ],
    ids=lambda value: value["type"],
)
def test_without_focus_it_is_cross_entropy(settings: dict):
    logits, _, bag, _ = given(1, False)
    options = {key: value for key, value in settings.items() if key != "type"}
    found = built(settings["type"], **options)(torch.from_numpy(logits), bag)
    torch.testing.assert_close(found, built("bce")(torch.from_numpy(logits), bag))


@pytest.mark.parametrize(("focal", "plain"), [("focal_sigmoid", "bce"), ("focal_softmax", "softmax")])
def test_focal_without_focus_is_cross_entropy(focal: str, plain: str):
    logits, _, bag, _ = given(1, plain == "softmax")
    options = {"gamma": 0.0, **({"alpha": None} if focal == "focal_sigmoid" else {})}
    one = losses.build(losses.config(focal)(**options))(torch.from_numpy(logits), bag)
    other = losses.build(losses.config(plain)())(torch.from_numpy(logits), bag)
    torch.testing.assert_close(one, other)


def test_far_tails_are_exact():
    """Where p rounds to 0 or 1 the losses follow their asymptotes instead of stopping."""
    far = torch.tensor([[200.0, -200.0]])
    assert losses.build(losses.config("bce")())(far, make_bag([[1]])).item() == 200.0
    assert losses.build(losses.config("softmax")())(far, make_bag([[1]])).item() == 400.0
    focal = losses.build(losses.config("focal_sigmoid")(alpha=None))
    assert focal(far, make_bag([[1]])).item() == pytest.approx(200.0)
    near = losses.build(losses.config("focal_softmax")(gamma=1.0))
    z = torch.tensor([[60.0, 0.0]], dtype=torch.float64)
    assert near(z, make_bag([[0]])).item() == pytest.approx(math.exp(-120), rel=1e-9)


def test_softmax_refuses_several_labels():
    loss = losses.build(losses.config("softmax")())
    with pytest.raises(ValueError, match="exactly one label a document, not 3 of 2"):
        loss(torch.zeros(2, C), make_bag([[0, 1], [2]]))


TREE = Taxonomy.build(["a", "b", "c"], ["a", "b", "c"], [[], ["a"], ["a"]])


def over(taxonomy: Taxonomy, support: list[int], documents: int, type: str, **options) -> Loss:
    loss = losses.build(losses.config(type)(**options))
    loss.prepare(taxonomy, np.array(support), documents)
    return loss


class TestByHand:
    """Numbers worked out on paper. A score of .9 is a logit of ln 9, .75 one of ln 3, .2 one of -ln 4."""

    def test_max_constraint(self):
        # a .2, b .75, c .9; gold a, b: a is explained by b at .75, c is wrong at .9.
        logits = torch.tensor([[-math.log(4), math.log(3), math.log(9)]], dtype=torch.float64)
        found = over(TREE, [2, 1, 1], 4, "max_constraint")(logits, make_bag([[0, 1]]))
        assert found.item() == pytest.approx(-(2 * math.log(0.75) + math.log(0.1)) / 3)
        # No gold: a is as wrong as its worst descendant.
        found = over(TREE, [2, 1, 1], 4, "max_constraint")(logits, make_bag([[]]))
        assert found.item() == pytest.approx(-(math.log(0.1) + math.log(0.25) + math.log(0.1)) / 3)

    def test_asymmetric(self):
        logits = torch.tensor([[math.log(3), math.log(3), -math.log(19)]], dtype=torch.float64)
        found = over(TREE, [1, 1, 1], 4, "asymmetric", gamma_negative=2.0)(logits, make_bag([[0]]))
        # A positive at .75; a negative at .75 - .05; a negative at .05, which the margin takes out.
        assert found.item() == pytest.approx((-math.log(0.75) - 0.49 * math.log(0.3)) / 3)

    def test_class_balanced(self):
        # Effective numbers at beta .5: 1, 1.5, 1.75 of 1, 2, 3 documents; weights 1, 2/3, 4/7, their mean 47/63.
        loss = over(TREE, [1, 2, 3], 6, "class_balanced", beta=0.5)
        found = loss(torch.zeros(1, 3, dtype=torch.float64), make_bag([[2]]))
        assert found.item() == pytest.approx(math.log(2))
        np.testing.assert_allclose(loss.ratio_C.values_C, np.array([63, 42, 36]) / 47)
        # What has no document is weighed like the most common, and is not in the mean.
        loss = over(TREE, [1, 2, 0], 6, "class_balanced", beta=0.5)
        np.testing.assert_allclose(loss.ratio_C.values_C, np.array([6, 4, 4]) / 5)
        loss = over(TREE, [0, 0, 0], 6, "class_balanced", beta=0.5)
        np.testing.assert_allclose(loss.ratio_C.values_C, 1)

    def test_distribution_balanced(self):
        # Of gold a (4 documents) and b (1): P = 1.25, ratios .2, .8; c (2 documents) .4.
        plain = {"alpha": 0.0, "beta": 1.0, "mu": 0.2, "kappa": 0.0, "gamma": 0.0, "negative_scale": 2.0}
        loss = over(TREE, [4, 1, 2], 8, "distribution_balanced", **plain)
        logits = torch.tensor([[0.0, 0.0, math.log(3)]], dtype=torch.float64)
        weights = [0.5, 1 / (1 + math.exp(-0.6)), 1 / (1 + math.exp(-0.2))]
        expected = (weights[0] + weights[1]) * math.log(2) + weights[2] / 2 * math.log(1 + 9)
        assert loss(logits, make_bag([[0, 1]])).item() == pytest.approx(expected / 3)
        # The margin of b: 1 of 8 documents, so that its logit is lowered by ln 7.
        shifted = over(TREE, [4, 1, 2], 8, "distribution_balanced", **{**plain, "kappa": 1.0})
        np.testing.assert_allclose(shifted.shift_C.values_C, [0, -math.log(7), -math.log(3)])

    def test_zlpr(self):
        logits = torch.tensor([[math.log(3), -math.log(4), math.log(2)]], dtype=torch.float64)
        found = over(TREE, [1, 1, 1], 3, "zlpr")(logits, make_bag([[0]]))
        assert found.item() == pytest.approx(math.log(1 + 0.25 + 2) + math.log(1 + 1 / 3))


def test_class_balancing_moves_no_score():
    """Each category by itself learns its share of train, whatever its weight."""
    bag = make_bag([[0], [0, 1], [0], []])
    loss = over(TREE, [3, 1, 0], 4, "class_balanced", beta=0.9)
    logits_C = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([logits_C], max_iter=100, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        total = loss(logits_C.expand(4, 3), bag).sum()
        total.backward()
        return total

    optimizer.step(closure)
    np.testing.assert_allclose(logits_C.detach().sigmoid(), [0.75, 0.25, 0], atol=1e-3)


def test_documents_without_labels_and_categories_without_documents_are_finite():
    for name in losses:
        if losses.config(name).scores == "softmax":
            continue
        for documents, support in ((1, [1, 0, 0]), (5, [5, 0, 2])):
            logits = torch.randn(2, 3, requires_grad=True)
            loss_B = over(TREE, support, documents, name)(logits, make_bag([[], [0]]))
            loss_B.sum().backward()
            assert loss_B.isfinite().all(), name
            assert logits.grad.isfinite().all(), name


def test_a_margin_that_rounding_swallows_is_finite():
    logits = torch.tensor([[200.0, 0.0, -200.0]], requires_grad=True)
    loss_B = over(TREE, [1, 1, 1], 3, "asymmetric", margin=1e-30)(logits, make_bag([[]]))
    loss_B.sum().backward()
    assert loss_B.isfinite().all()
    assert logits.grad.isfinite().all()


def test_the_max_constraint_needs_levels():
    flat = Taxonomy.build(["a", "b"], ["a", "b"], [[], []])
    with pytest.raises(ConfigError, match=r"objective\.loss: 'max_constraint' needs a taxonomy with edges"):
        over(flat, [1, 1], 2, "max_constraint")


class TestGrouped:
    """Networks of one category each, trained as a group."""

    def test_asymmetric_is_that_of_each_alone(self):
        logits_KB = torch.randn(3, 5, dtype=torch.float64)
        target_KB = np.random.default_rng(0).random((3, 5)) < 0.5
        config = losses.config("asymmetric")()
        found = GroupedLoss(config, [1.0, 1.0, 1.0])(logits_KB, target_KB, [0, 1, 2])
        for k in range(3):
            bag = make_bag([[0] if has else [] for has in target_KB[k]])
            torch.testing.assert_close(found[k], built("asymmetric")(logits_KB[k][:, None], bag))

    @pytest.mark.parametrize("name", ["class_balanced", "distribution_balanced", "max_constraint"])
    def test_a_loss_that_goes_by_support_is_refused(self, name: str):
        with pytest.raises(ConfigError) as caught:
            GroupedLoss(losses.config(name)(), [1.0])
        told = f"training.strategy.executor: the loss '{name}' goes by the support of each category alone"
        assert str(caught.value).startswith(told)


@dataclass(frozen=True)
class Broken(LossCase):
    """A case whose loss is wrong."""

    wrong: type[Loss] = Loss

    def loss(self) -> Loss:
        return self.wrong(self.config)


def test_rules_find_what_they_are_for():
    class Backwards(Loss):
        def forward(self, logits_BC, labels, weights_C=None):
            return -built("bce")(logits_BC, labels, weights_C)

    with pytest.raises(AssertionError, match="surely wrong loses less"):
        RULES["surer_and_right_loses_less"](Broken(losses.config("bce")(), wrong=Backwards))

    class Heedless(Loss):
        def forward(self, logits_BC, labels, weights_C=None):
            return built("zlpr")(logits_BC, labels)

    with pytest.raises(AssertionError, match="takes no class weights"):
        RULES["weights_of_one_change_nothing"](Broken(losses.config("zlpr")(), wrong=Heedless))
