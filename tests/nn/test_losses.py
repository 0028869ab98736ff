"""Losses against their formulas, and what class weights do to the best logit."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from linnaea.config.registry import losses
from linnaea.nn.batch import Bag
from tests.nn.cases import make_bag, make_labels, taxonomy
from tests.references import losses as reference

C = len(taxonomy())


def given(seed: int, single: bool) -> tuple[np.ndarray, list[list[int]], Bag, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = make_labels(rng, 9, single)
    return rng.normal(scale=3, size=(9, C)), labels, make_bag(labels), rng.uniform(0.2, 5, C)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("settings", "twin", "single"),
    [
        ({"type": "bce"}, reference.bce, False),
        ({"type": "focal_sigmoid"}, reference.focal_sigmoid, False),
        ({"type": "focal_sigmoid", "alpha": None, "gamma": 0.5}, reference.focal_sigmoid, False),
        ({"type": "focal_sigmoid", "alpha": 0.7, "gamma": 0.0}, reference.focal_sigmoid, False),
        ({"type": "softmax"}, reference.softmax_loss, True),
        ({"type": "focal_softmax"}, reference.focal_softmax, True),
        ({"type": "focal_softmax", "gamma": 0.5}, reference.focal_softmax, True),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_equals_the_twin(settings, twin, single, weighted):
    logits, labels, bag, weights = given(5, single)
    options = {key: value for key, value in settings.items() if key != "type"}
    loss = losses.build(losses.config(settings["type"])(**options))
    weights_C = torch.from_numpy(weights) if weighted else None
    used = weights if weighted else np.ones(C)
    expected = [twin(row.tolist(), y, used, **options) for row, y in zip(logits, labels, strict=True)]
    np.testing.assert_allclose(loss(torch.from_numpy(logits), bag, weights_C), expected, rtol=0, atol=1e-10)


def test_every_loss_has_a_twin():
    assert set(losses) == {"bce", "focal_sigmoid", "softmax", "focal_softmax"}


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
