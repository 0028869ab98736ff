"""What every registered embedder, encoder, head and loss must hold to. To register is to be tried.

The rules are those of ``linnaea.testing``, which parts of one's own are held to.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from linnaea.config.heads import ModelConfig
from linnaea.config.registry import losses
from linnaea.testing import RULES
from linnaea.testing import loss_rules as for_losses
from linnaea.testing import network_rules as rules
from linnaea.testing.cases import Case
from linnaea.testing.loss_rules import LossCase
from tests.nn.cases import DEVICES, LEARNING_RATES, case_name, cases, loss_names, sizes

CASES = cases()
every_case = pytest.mark.parametrize("config", CASES, ids=[case_name(case) for case in CASES])
every_device = pytest.mark.parametrize("device", DEVICES)


def case(config: ModelConfig, device: str = "cpu") -> Case:
    return Case(config, device, sizes(), LEARNING_RATES.get(config.encoder.type, Case.learning_rate))


@every_device
@every_case
def test_shapes(config: ModelConfig, device: str):
    rules.shapes(case(config, device))


@every_device
@every_case
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lengths=st.lists(st.integers(0, 9), min_size=1, max_size=6),
    padding=st.integers(0, 7),
    seed=st.integers(0, 99),
)
def test_neighbours_order_and_padding_change_nothing(config, device, lengths, padding, seed):
    rules.neighbours(case(config, device), lengths, padding, seed)


@every_case
def test_vectors_at_padding_are_not_read(config: ModelConfig):
    rules.vectors_at_padding_are_not_read(case(config))


@every_case
def test_an_empty_document_is_the_zero_vector(config: ModelConfig):
    rules.an_empty_document_is_the_zero_vector(case(config))


@every_case
def test_empty_documents_give_finite_gradients(config: ModelConfig):
    rules.empty_documents_give_finite_gradients(case(config))


@every_case
def test_gradients_reach_every_parameter(config: ModelConfig):
    rules.gradients_reach_every_parameter(case(config))


@every_case
def test_gradients_reach_every_parameter_through_states(config: ModelConfig):
    rules.gradients_reach_every_parameter_through_states(case(config))


@every_device
@every_case
def test_sparse_gradients_equal_dense_ones(config: ModelConfig, device: str):
    rules.sparse_gradients_equal_dense_ones(case(config, device))


@every_device
@every_case
def test_saved_weights_give_the_same_bits(config: ModelConfig, device: str):
    rules.saved_weights_give_the_same_bits(case(config, device))


@every_case
def test_the_same_seed_gives_the_same_weights(config: ModelConfig):
    rules.the_same_seed_gives_the_same_weights(case(config))


@every_case
def test_float64(config: ModelConfig):
    rules.float64(case(config))


@every_device
@every_case
def test_bfloat16_autocast(config: ModelConfig, device: str):
    rules.bfloat16_autocast(case(config, device))


@every_case
def test_category_rows_have_one_row_a_category(config: ModelConfig):
    rules.category_rows_have_one_row_a_category(case(config))


@pytest.mark.slow
@every_device
@every_case
def test_compiled_gives_the_same_numbers(config: ModelConfig, device: str):
    rules.compiled_gives_the_same_numbers(case(config, device))


@every_device
@every_case
def test_learns_sixteen_documents_by_heart(config: ModelConfig, device: str):
    rules.learns_sixteen_documents_by_heart(case(config, device))


@every_device
@pytest.mark.parametrize("rule", list(for_losses.RULES))
@pytest.mark.parametrize("name", [*loss_names("sigmoid"), *loss_names("softmax")])
def test_losses(name: str, rule: str, device: str):
    for_losses.RULES[rule](LossCase(losses.config(name)(), device))


@pytest.mark.parametrize("kind", ["encoder", "embedder", "head"])
def test_every_rule_is_tried(kind: str):
    assert [name for name in RULES[kind] if f"test_{name}" not in globals()] == []
