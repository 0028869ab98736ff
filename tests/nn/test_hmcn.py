"""HMCN against its float64 twin: both forms, blending, violations; and what earlier code got wrong."""

from __future__ import annotations

import decimal
import math
from decimal import Decimal
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from linnaea.config.config import Config
from linnaea.config.heads import HMCNConfig
from linnaea.errors import ConfigError
from linnaea.nn.heads.hmcn import HMCN, Layers
from linnaea.nn.network import Encoded
from linnaea.taxonomy.change import Change
from linnaea.taxonomy.taxonomy import Taxonomy
from tests.nn.head_cases import edges_of, head, reordered, texts
from tests.references import hmcn as reference
from tests.references.worlds import flat, taxonomies, tree

FORMS = ["feed_forward", "recurrent"]
DAG = tree((), (), (0,), (0, 1), (2, 3))
deep = taxonomies().filter(lambda graph: graph.depth > 1)


def build(taxonomy: Taxonomy, seed: int = 0, **settings) -> HMCN:
    plain = {} if settings.get("form") == "recurrent" else {"normalization": False}
    made = head("hmcn", taxonomy, seed, **{"hidden": 6, "local_hidden": 3, **plain, **settings})
    assert isinstance(made, HMCN)
    return made


def twin(module: HMCN, taxonomy: Taxonomy, x: list[float]) -> tuple[list[float], list[float]]:
    """Local and global logits of one document."""
    layers = module.layers
    if isinstance(layers, Layers):
        given, bias = layers.input_weight.tolist(), layers.bias.tolist()
        above = [[[] for _ in bias[0]], *layers.hidden_weight.tolist()]
        both = [[a + b for a, b in zip(up, own, strict=True)] for up, own in zip(above, given, strict=True)]
        states = reference.feed_forward(x, list(zip(both, bias, strict=True)))
    else:
        pairs = zip(layers.hidden_weight.tolist(), layers.input_weight.tolist(), strict=True)
        states = reference.recurrent(x, taxonomy.depth, [a + b for a, b in pairs], layers.bias.tolist())
    transitions = list(zip(module.transition_weight.tolist(), module.transition_bias.tolist(), strict=True))
    return reference.outputs(
        states,
        (taxonomy.level_C - 1).tolist(),
        transitions * (1 if len(transitions) == taxonomy.depth else taxonomy.depth),
        (module.local_weight.tolist(), module.local_bias.tolist()),
        (module.global_weight.tolist(), module.global_bias.tolist()),
    )


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=20, deadline=None)
@given(
    taxonomy=deep,
    lengths=st.lists(st.integers(0, 2), min_size=1, max_size=4),
    beta=st.sampled_from([0.1, 0.5, 0.8]),
    weight=st.sampled_from([0.0, 0.1, 3.0]),
    seed=st.integers(0, 1000),
)
def test_equals_the_twin(form, taxonomy, lengths, beta, weight, seed):
    module = build(taxonomy, seed, form=form, beta=beta, violation_penalty=weight)
    encoded = texts(lengths, seed)
    output = module(encoded)
    assert (output.penalty_B is None) == (weight == 0)
    for place, x in enumerate(encoded.pooled_BD.tolist()):
        local_C, global_C = twin(module, taxonomy, x)
        for found, expected in zip(output.readings, (local_C, global_C), strict=True):
            np.testing.assert_allclose(found[place].detach(), expected, rtol=0, atol=1e-10)
        scores_C = reference.blended(local_C, global_C, beta)
        logits_C = [math.log(p / (1 - p)) for p in scores_C]
        np.testing.assert_allclose(output.logits_BC[place].detach(), logits_C, rtol=0, atol=1e-10)
        if weight:
            expected = reference.violations(scores_C, edges_of(taxonomy), weight)
            assert output.penalty_B[place].item() == pytest.approx(expected, abs=1e-12)


def test_probabilities_are_blended_not_logits():
    """By hand: of 0.9 and 0.1, a half; of logits 4 and -2 their mean would be 1, a score of 0.73."""
    module = build(DAG)
    odds = torch.tensor([[math.log(9), 4.0]], dtype=torch.float64)
    blended = module.blend(odds, torch.tensor([[-math.log(9), -2.0]], dtype=torch.float64))
    half = (1 / (1 + math.exp(-4)) + 1 / (1 + math.exp(2))) / 2
    assert blended.sigmoid()[0].tolist() == pytest.approx([0.5, half], abs=1e-12)


@settings(max_examples=50, deadline=None)
@given(a=st.floats(-1e4, 1e4), b=st.floats(-1e4, 1e4), beta=st.floats(0.01, 0.99))
def test_blending_is_exact_and_smooth_far_out(a, b, beta):
    module = build(DAG, beta=beta)
    values = torch.tensor([[a], [b]], dtype=torch.float64, requires_grad=True)
    blended = module.blend(values[:1], values[1:])
    blended.sum().backward()
    assert values.grad.isfinite().all()
    with decimal.localcontext(prec=60):
        one, two, share = (Decimal(value) for value in (a, b, beta))
        yes = share / (1 + (-one).exp()) + (1 - share) / (1 + (-two).exp())
        no = share / (1 + one.exp()) + (1 - share) / (1 + two.exp())
        exact = float(yes.ln() - no.ln())
    assert blended.item() == pytest.approx(exact, rel=1e-12, abs=1e-12)


def test_violations_by_hand():
    """A over B and C: scores .5, .8, .1; the excess of B is .3, C has none; by three categories."""
    module = build(tree((), (0,), (0,)), violation_penalty=0.1)
    logits = torch.tensor([[0.5, 0.8, 0.1]], dtype=torch.float64).logit()
    assert module._violations(logits).tolist() == pytest.approx([0.1 * 0.09 / 3], abs=1e-15)


def test_the_penalty_pulls_a_child_below_its_parent():
    module = build(tree((), (0,)), violation_penalty=1.0)
    logits = torch.tensor([[-1.0, 1.0]], dtype=torch.float64, requires_grad=True)
    module._violations(logits).sum().backward()
    assert logits.grad[0, 0] < 0 < logits.grad[0, 1]


def test_what_class_weights_shift_comes_off_each_reading():
    module, encoded = build(DAG, beta=0.3), texts([3, 1])
    shift_C = torch.linspace(-1, 2, 5, dtype=torch.float64)
    expected = module(encoded).less(shift_C)
    with torch.no_grad():
        for bias_C in module.biases():
            bias_C -= shift_C
    torch.testing.assert_close(module(encoded).logits_BC, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=15, deadline=None)
@given(taxonomy=deep, seed=st.integers(0, 1000))
def test_the_order_of_categories_does_not_matter(form, taxonomy, seed):
    other, old_C = reordered(taxonomy, seed)
    one, encoded = build(taxonomy, seed, form=form), texts([2, 0, 1], seed)
    two = moved_rows(one, build(other, seed, form=form), old_C)
    found, expected = two(encoded), one(encoded)
    torch.testing.assert_close(found.logits_BC, expected.logits_BC[:, old_C], rtol=0, atol=1e-12)
    torch.testing.assert_close(found.penalty_B, expected.penalty_B, rtol=0, atol=1e-12)


def moved_rows(one: HMCN, other: HMCN, old_C: np.ndarray) -> HMCN:
    """Only what stands in ``category_rows`` and ``biases`` goes by category: levels keep their order."""
    other.load_state_dict(one.state_dict())
    with torch.no_grad():
        for here in [*other.category_rows(), *other.biases()]:
            here.copy_(here[torch.from_numpy(old_C)].clone())
    return other


def test_parameters_of_the_recurrent_form_do_not_grow_with_levels():
    def count(levels: int, form: str) -> int:
        chain = tree((), *((i,) for i in range(levels - 1)), *[()] * (8 - levels))
        return sum(p.numel() for p in build(chain, form=form).parameters())

    assert count(6, "recurrent") == count(2, "recurrent")
    assert count(6, "feed_forward") > count(2, "feed_forward")


class TestNormalization:
    def test_empty_documents_take_no_part_in_the_statistics(self):
        encoded, found = texts([2, 1, 3, 0]), []
        for count in (4, 3):
            module = build(DAG, normalization=True, dropout=0.0).train()
            module(Encoded(encoded.pooled_BD[:count]))
            found.append({name: v for name, v in module.state_dict().items() if "running" in name})
        assert len(found[0]) == 2 * (DAG.depth + 1)
        for name, value in found[0].items():
            torch.testing.assert_close(found[1][name], value, rtol=0, atol=1e-12)

    def test_an_empty_document_has_the_biases(self):
        module = build(DAG, normalization=True)
        local_BC, global_BC = module(texts([2, 0])).readings
        assert torch.equal(local_BC[1], module.local_bias)
        assert torch.equal(global_BC[1], module.global_bias)

    def test_it_is_torchs_and_stands_before_the_relu(self):
        module, encoded = build(DAG, normalization=True, dropout=0.0).train(), texts([2, 1, 3, 2])
        found = module(encoded).readings
        layers, inner, state, locals_ = module.layers, module.normalization, None, []
        normal = partial(functional.batch_norm, running_mean=None, running_var=None, training=True)
        for level, norm in enumerate(layers.normalizations):
            given = encoded.pooled_BD @ layers.input_weight[level].T
            if state is not None:
                given = given + state @ layers.hidden_weight[level - 1].T
            state = normal(given, weight=norm.weight, bias=norm.bias).relu()
            scale, shift = (part.chunk(DAG.depth)[level] for part in (inner.weight, inner.bias))
            locals_.append(normal(state @ module.transition_weight[level].T, weight=scale, bias=shift).relu())
        level_C = DAG.level_C - 1
        rows = [
            module.local_weight[c] @ locals_[level].T + module.local_bias[c]
            for c, level in enumerate(level_C)
        ]
        torch.testing.assert_close(found[0], torch.stack(rows, 1), rtol=0, atol=1e-10)
        expected = state @ module.global_weight.T + module.global_bias
        torch.testing.assert_close(found[1], expected, rtol=0, atol=1e-10)

    def test_a_document_unlike_those_of_training_is_not_blown_up(self):
        """What a unit has never answered to lies 10 deviations off; after the ReLU it had none, and a factor of 316."""
        module = build(DAG, normalization=True, dropout=0.0).train()
        columns = module.layers.input_weight.shape[2]
        with torch.no_grad():
            module.layers.input_weight.copy_(torch.eye(6, columns).expand_as(module.layers.input_weight))
            module.layers.hidden_weight.zero_()
        generator = torch.Generator().manual_seed(1)
        for _ in range(100):
            drawn = torch.randn(32, columns, generator=generator, dtype=torch.float64)
            module(Encoded(drawn / 2 - 4))
        unlike = torch.full((1, columns), 1.0, dtype=torch.float64)
        states = module.eval().layers(unlike, torch.ones(1, dtype=torch.bool))
        assert all(5 < state.max() < 20 for state in states)

    def test_a_batch_of_one_trains(self):
        """In NeuralClassifier a last batch of one document ended the training."""
        module = build(DAG, normalization=True).train()
        module(texts([3])).logits_BC.sum().backward()
        assert all(p.grad is None or p.grad.isfinite().all() for p in module.parameters())


@pytest.mark.parametrize("form", FORMS)
def test_dropout_is_not_on_logits(form):
    module = build(DAG, form=form, dropout=0.999).train()
    local_BC, global_BC = module(texts([3] * 40)).readings
    assert ((local_BC - module.local_bias).abs() < 1e-6).double().mean() > 0.5
    assert not (local_BC == 0).any() and not (global_BC == 0).any()


def test_one_level_is_refused():
    with pytest.raises(
        ConfigError, match=r"^model\.head: 'hmcn' goes from level to level, and the 3 categories"
    ):
        build(flat(3))


class TestGrowth:
    OLD = Taxonomy.build(list("abcd"), list("abcd"), [[], [], ["a"], ["c"]])

    def problem(self, ids: str, parents: list[list[str]]) -> str | None:
        new = Taxonomy.build(list(ids), list(ids), parents)
        return build(new).growth_problem(Change.between(self.OLD, new))

    def test_another_category_is_welcome(self):
        assert self.problem("abcde", [[], [], ["a"], ["c"], ["b"]]) is None

    def test_another_level_is_not(self):
        told = self.problem("abcde", [[], [], ["a"], ["c"], ["d"]])
        assert told == "has a layer a level, and there are 4 levels now, not 3"

    def test_what_comes_to_stand_on_another_level_is_not(self):
        told = self.problem("abcdef", [[], [], [], ["c"], ["a"], ["e"]])
        assert told == "has a layer a level, and 'd' is on level 2 now, not 3"

    def test_what_moves_is_fitted_again(self):
        assert self.problem("abcde", [[], [], ["a"], ["b"], ["c"]]) is None


class TestConfig:
    @pytest.mark.parametrize("name", ["hmcn", "hiagm_tp", "hiagm_la"])
    @pytest.mark.parametrize("task", ["multilabel", "multiclass", "binary"])
    def test_a_flat_task_is_refused(self, name, task):
        value = {"task": {"type": task}, "model": {"encoder": "textrnn", "head": name}}
        with pytest.raises(ConfigError) as caught:
            Config.build(value)
        assert str(caught.value).startswith(
            f"model.head: the head {name!r} follows the taxonomy, and a {task} task is flat"
        )

    def test_label_attention_is_fine_there(self):
        Config.build(
            {"task": {"type": "multiclass"}, "model": {"encoder": "textrnn", "head": "label_attention"}}
        )

    @pytest.mark.parametrize("name", ["hmcn", "hiagm_tp", "hiagm_la", "label_attention"])
    def test_one_network_a_category_has_no_such_head(self, name):
        value = {"model": {"encoder": "textrnn", "head": name}, "training": {"strategy": "per_category"}}
        with pytest.raises(ConfigError, match=rf"^model\.head: one network .* 'linear', not '{name}'"):
            Config.build(value)

    @pytest.mark.parametrize(
        ("settings", "told"),
        [
            (
                {"form": "recurrent", "normalization": True},
                'normalization: acts only with "form": "feed_forward"',
            ),
            ({"beta": 1.0}, "beta: must be below 1"),
            ({"violation_penalty": -1}, "violation_penalty: must be at least 0"),
            ({"hidden": 0}, "hidden: must be at least 1"),
        ],
        ids=str,
    )
    def test_settings_that_cannot_be_are_refused(self, settings, told):
        with pytest.raises(ConfigError) as caught:
            HMCNConfig.read(settings, "model.head")
        assert f"model.head.{told}" in str(caught.value)

    @pytest.mark.parametrize(
        "head",
        [
            {"type": "hmcn", "form": "recurrent"},
            {"type": "label_attention"},
            {"type": "hiagm_tp", "structure": "tree_lstm"},
        ],
        ids=lambda value: value["type"],
    )
    def test_a_dumped_config_is_read_again(self, head):
        config = Config.build({"model": {"encoder": "textrnn", "head": head}})
        assert Config.build(config.dump()).model.head == config.model.head
