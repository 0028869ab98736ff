"""The contract suite for parts of one's own: sound ones pass, and each broken one is told what is wrong with it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from linnaea import testing
from linnaea.config.embedders import EmbedderConfig
from linnaea.config.encoders import EncoderConfig
from linnaea.config.heads import HeadConfig
from linnaea.config.objective import LossConfig
from linnaea.config.outcome import MetricConfig
from linnaea.config.registry import embedders, encoders, heads, losses, metrics, tokenizers
from linnaea.config.task import TokenizerConfig
from linnaea.errors import ConfigError
from linnaea.nn.network import Embedded, Embedder, Encoded, Head, HeadOutput, SequenceEncoder
from linnaea.nn.objectives.losses import Loss

pytestmark = pytest.mark.usefixtures("clean_registries")


class Mean(SequenceEncoder):
    """A sound encoder, broken in one place by each of its heirs."""

    def __init__(self, config: Any, *, input_dim: int) -> None:
        super().__init__()
        self.output_dim = input_dim
        self.scale_E = nn.Parameter(torch.rand(input_dim) + 0.5)

    def encode(self, vectors_BTE: torch.Tensor, mask_BT: torch.Tensor) -> Encoded:
        return Encoded(self.scale_E * self.total(vectors_BTE, mask_BT) / self.count(mask_BT))

    def total(self, vectors_BTE: torch.Tensor, mask_BT: torch.Tensor) -> torch.Tensor:
        return torch.where(mask_BT[..., None], vectors_BTE, 0.0).sum(1)

    def count(self, mask_BT: torch.Tensor) -> torch.Tensor:
        return mask_BT.sum(1, keepdim=True).clamp(min=1)


class Leaky(Mean):
    def count(self, mask_BT: torch.Tensor) -> torch.Tensor:
        return torch.full_like(mask_BT[:, :1], mask_BT.shape[1], dtype=torch.int64)


class Unmasked(Mean):
    def total(self, vectors_BTE: torch.Tensor, mask_BT: torch.Tensor) -> torch.Tensor:
        return vectors_BTE.sum(1)


class NanWhenEmpty(Mean):
    def count(self, mask_BT: torch.Tensor) -> torch.Tensor:
        return mask_BT.sum(1, keepdim=True)


class NotZeroWhenEmpty(Mean):
    def encode(self, vectors_BTE: torch.Tensor, mask_BT: torch.Tensor) -> Encoded:
        return Encoded(super().encode(vectors_BTE, mask_BT).pooled_BD + self.scale_E)


class OverTheBatch(Mean):
    def encode(self, vectors_BTE: torch.Tensor, mask_BT: torch.Tensor) -> Encoded:
        pooled_BD = super().encode(vectors_BTE, mask_BT).pooled_BD
        return Encoded(pooled_BD * (1 + pooled_BD.square().mean()))


class Idle(Mean):
    def __init__(self, config: Any, *, input_dim: int) -> None:
        super().__init__(config, input_dim=input_dim)
        self.unused = nn.Linear(3, 3)


class Squeezed(Mean):
    def encode(self, vectors_BTE: torch.Tensor, mask_BT: torch.Tensor) -> Encoded:
        return Encoded(super().encode(vectors_BTE, mask_BT).pooled_BD.squeeze(0))


class Unsaved(Mean):
    def __init__(self, config: Any, *, input_dim: int) -> None:
        super().__init__(config, input_dim=input_dim)
        self.hidden_E = torch.rand(input_dim) + 0.5

    def total(self, vectors_BTE: torch.Tensor, mask_BT: torch.Tensor) -> torch.Tensor:
        return super().total(vectors_BTE, mask_BT) * self.hidden_E


class OwnRandomness(Mean):
    def __init__(self, config: Any, *, input_dim: int) -> None:
        super().__init__(config, input_dim=input_dim)
        self.scale_E = nn.Parameter(torch.from_numpy(np.random.default_rng().random(input_dim, np.float32)))


class SinglePrecision(Mean):
    def total(self, vectors_BTE: torch.Tensor, mask_BT: torch.Tensor) -> torch.Tensor:
        return super().total(vectors_BTE, mask_BT) @ torch.eye(self.output_dim)


class FixedTables(Mean):
    def encode(self, vectors_BTE: torch.Tensor, mask_BT: torch.Tensor) -> Encoded:
        return super().encode(vectors_BTE.detach(), mask_BT)


class OneNumber(Mean):
    def encode(self, vectors_BTE: torch.Tensor, mask_BT: torch.Tensor) -> Encoded:
        pooled_BD = super().encode(vectors_BTE, mask_BT).pooled_BD
        return Encoded(pooled_BD.mean(1, keepdim=True).expand_as(pooled_BD) * 1e-3)


class Fails(Mean):
    def count(self, mask_BT: torch.Tensor) -> torch.Tensor:
        if len(mask_BT) == 1:
            raise ValueError("one is too few")
        return super().count(mask_BT)


class WrongReturn(Mean):
    def encode(self, vectors_BTE: torch.Tensor, mask_BT: torch.Tensor) -> Any:
        return super().encode(vectors_BTE, mask_BT).pooled_BD


BROKEN: list[tuple[type[Mean], str, str]] = [
    (Leaky, "neighbours_order_and_padding_change_nothing", "padding and neighbours must not change a number"),
    (Unmasked, "vectors_at_padding_are_not_read", "vectors at padded positions are read"),
    (NanWhenEmpty, "shapes", "logits are not finite"),
    (NanWhenEmpty, "empty_documents_give_finite_gradients", "is not finite where documents are empty"),
    (NotZeroWhenEmpty, "an_empty_document_is_the_zero_vector", "must be the vector of zeros"),
    (OverTheBatch, "neighbours_order_and_padding_change_nothing", "have other logits than each alone"),
    (Idle, "gradients_reach_every_parameter", "no gradient reaches 'encoder.unused.weight'"),
    (FixedTables, "gradients_reach_every_parameter", "no gradient reaches 'embedder.tables.token.weight'"),
    (Squeezed, "shapes", "pooled_BD is [12], not [B, output_dim] = [1, 12]"),
    (Unsaved, "saved_weights_give_the_same_bits", "something that acts is no parameter and no buffer"),
    (OwnRandomness, "the_same_seed_gives_the_same_weights", "'encoder.scale_E' has other values"),
    (SinglePrecision, "float64", "RuntimeError: expected"),
    (OneNumber, "learns_sixteen_documents_by_heart", "of the decisions on 16 documents are right"),
    (Fails, "shapes", "ValueError: one is too few"),
    (WrongReturn, "shapes", "the encoder must give an Encoded, not Tensor"),
]


class Attended(Mean):
    """It gives states, and learns how to weigh them only where its own vector is read."""

    def __init__(self, config: Any, *, input_dim: int) -> None:
        super().__init__(config, input_dim=input_dim)
        self.state_dim = input_dim

    def encode(self, vectors_BTE: torch.Tensor, mask_BT: torch.Tensor) -> Encoded:
        return Encoded(super().encode(vectors_BTE, mask_BT).pooled_BD, vectors_BTE, mask_BT)


def as_encoder(kind: type[Mean]) -> type[Mean]:
    encoders.register("own_4711")(kind)
    return kind


def with_config(kind: type, base: type, **fields: Any) -> Any:
    """``kind`` with a Config of its own."""
    space = {"__module__": __name__, "__qualname__": f"{kind.__name__}.Config", **fields}
    kind.Config = type("Config", (base,), space)  # type: ignore[attr-defined]
    return kind


def test_a_sound_encoder_passes() -> None:
    testing.check_encoder(as_encoder(with_config(Mean, EncoderConfig)), rules=testing.RULES["encoder"])
    testing.check_encoder("own_4711")


def test_parameters_that_only_the_document_vector_needs_are_found_out() -> None:
    as_encoder(with_config(Attended, EncoderConfig, gives_states=True))
    testing.check_encoder("own_4711", rules=["shapes", "gradients_reach_every_parameter"])
    with pytest.raises(
        AssertionError, match=r"reaches 'encoder\.scale_E': under a head that reads token states"
    ):
        testing.check_encoder("own_4711")


@pytest.mark.parametrize(
    ("kind", "rule", "message"), BROKEN, ids=[f"{kind.__name__}-{rule}" for kind, rule, _ in BROKEN]
)
def test_a_broken_encoder_is_found_out(kind: type[Mean], rule: str, message: str) -> None:
    as_encoder(with_config(kind, EncoderConfig))
    with pytest.raises(AssertionError) as caught:
        testing.check_encoder("own_4711", rules=[rule])
    text = str(caught.value)
    assert text.startswith("the encoder 'own_4711' ")
    assert repr(rule) in text
    assert message in text
    with pytest.raises(AssertionError):
        testing.check_encoder("own_4711")


def test_the_message_names_the_settings() -> None:
    with pytest.raises(AssertionError, match=r"^the tokenizer 'own_4711' with \{'size': 2\} breaks"):
        tokenizer(lambda text: ["", text], {"size": 2})


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: testing.check_encoder("textcn"), ConfigError, "there is no encoder 'textcn' (did you mean 'textcnn'?)"),
        (lambda: testing.check_encoder("textcnn", {"filter": 3}), ConfigError, "textcnn.filter: unknown key"),
        (lambda: testing.check_encoder(Mean), ConfigError, "Mean is no registered encoder"),
        (lambda: testing.check_encoder("textcnn", rules=["shape"]), ValueError, "there is no rule 'shape' of encoders"),
    ],
    ids=["name", "key", "class", "rule"],
)  # fmt: skip
def test_what_cannot_be_tried(call: Callable[[], None], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert message in str(caught.value)


def test_an_instance_of_the_settings_will_do() -> None:
    testing.check_encoder(encoders.config("textcnn")(filters=3), rules=["shapes"])  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="not both"):
        testing.check_encoder(encoders.config("textcnn")(), {"filters": 3})


class Table(Embedder):
    def __init__(self, config: Any, *, features: Any, sizes: Any, reads: str, sparse: bool) -> None:
        super().__init__()
        self.output_dim = 12
        self.table = nn.Embedding(sizes.features[features[0]], 12, sparse=sparse)
        self.register_buffer("place_T", torch.linspace(0, 1, 64), persistent=False)

    def forward(self, batch: Any) -> Embedded:
        return Embedded(self.vectors(batch), batch.mask_BT)

    def vectors(self, batch: Any) -> torch.Tensor:
        found: torch.Tensor = self.table(batch.ids_BT)
        return found


class FromTheEnd(Table):
    def vectors(self, batch: Any) -> torch.Tensor:
        places_T = self.place_T[: batch.ids_BT.shape[1]].flip(0)
        return super().vectors(batch) + places_T[:, None]


@pytest.mark.parametrize(("kind", "sound"), [(Table, True), (FromTheEnd, False)], ids=["sound", "broken"])
def test_embedders(kind: type[Table], sound: bool) -> None:
    embedders.register("own_4711")(with_config(kind, EmbedderConfig, serves=("sequence",)))
    if sound:
        testing.check_embedder("own_4711")
        return
    with pytest.raises(AssertionError, match="padding and neighbours must not change a number"):
        testing.check_embedder("own_4711")


class Rows(Head):
    def __init__(self, config: Any, *, input_dim: int, state_dim: Any, sizes: Any, scores: str) -> None:
        super().__init__()
        self.linear = nn.Linear(input_dim, len(sizes.taxonomy))

    def forward(self, encoded: Encoded) -> HeadOutput:
        return HeadOutput(self.linear(encoded.pooled_BD))

    def category_rows(self) -> list[torch.Tensor]:
        return [self.linear.weight]


class Turned(Rows):
    def category_rows(self) -> list[torch.Tensor]:
        return [self.linear.weight.T]


@pytest.mark.parametrize(("kind", "sound"), [(Rows, True), (Turned, False)], ids=["sound", "broken"])
def test_heads(kind: type[Rows], sound: bool) -> None:
    heads.register("own_4711")(with_config(kind, HeadConfig))
    if sound:
        testing.check_head("own_4711")
        return
    with pytest.raises(AssertionError, match="not a row a category"):
        testing.check_head("own_4711")


class Square(Loss):
    """Squared distance of the score; finite and smooth."""

    def forward(self, logits_BC: torch.Tensor, labels: Any, weights_C: Any = None) -> torch.Tensor:
        target_BC = labels.dense(logits_BC.shape[1], logits_BC.dtype)
        loss_BC = (logits_BC.sigmoid() - target_BC) ** 2
        if weights_C is not None:
            loss_BC = loss_BC * torch.where(target_BC > 0, weights_C, 1.0)
        return self.reduced(loss_BC)

    def reduced(self, loss_BC: torch.Tensor) -> torch.Tensor:
        return loss_BC.mean(1)


class Scalar(Square):
    def reduced(self, loss_BC: torch.Tensor) -> torch.Tensor:
        return loss_BC.mean()


class Shared(Square):
    def reduced(self, loss_BC: torch.Tensor) -> torch.Tensor:
        return loss_BC.mean(1) / len(loss_BC)


class Unweighted(Square):
    def forward(self, logits_BC: torch.Tensor, labels: Any, weights_C: Any = None) -> torch.Tensor:
        return super().forward(logits_BC, labels)


class Logarithm(Square):
    def forward(self, logits_BC: torch.Tensor, labels: Any, weights_C: Any = None) -> torch.Tensor:
        target_BC = labels.dense(logits_BC.shape[1], logits_BC.dtype)
        weight_BC = 1.0 if weights_C is None else torch.where(target_BC > 0, weights_C, 1.0)
        right_BC = (logits_BC * (2 * target_BC - 1)).sigmoid()
        return -(weight_BC * right_BC.log()).mean(1)


class Detached(Square):
    def reduced(self, loss_BC: torch.Tensor) -> torch.Tensor:
        return loss_BC.mean(1) * loss_BC.mean(1).detach()


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Square, None),
        (Scalar, "a loss of 6 documents is [], not [B] = [6]"),
        (Shared, "the loss of a document must not depend on its neighbours"),
        (Unweighted, "class weights do nothing"),
        (Logarithm, "the loss is not finite at logits of ±10000"),
        (Detached, "the gradient is not that of the loss"),
    ],
)
def test_losses(kind: type[Square], message: str | None) -> None:
    losses.register("own_4711")(with_config(kind, LossConfig))
    if message is None:
        testing.check_loss("own_4711")
        return
    with pytest.raises(AssertionError) as caught:
        testing.check_loss("own_4711")
    assert message in str(caught.value)


def tokenizer(cut: Callable[[str], Any], settings: dict[str, Any] | None = None) -> None:
    class Own:
        class Config(TokenizerConfig):
            size: int = 1

        def __init__(self, config: Any) -> None:
            pass

        def __call__(self, text: str) -> Any:
            return cut(text)

    tokenizers.register("own_4711")(Own)
    testing.check_tokenizer(Own, settings)


def test_tokenizers() -> None:
    tokenizer(str.split)
    seen: list[str] = []
    for cut, message in (
        (lambda text: text.split(" "), "a token is empty"),
        (lambda text: tuple(text.split()), "tokens must be a list, not tuple"),
        (lambda text: [text.encode()] if text else [], "a token is bytes, not a string"),
        (lambda text: ["start", *text.split()], "an empty text must have no tokens"),
        (lambda text: [], "there are no tokens"),
        (lambda text: text.split()[: len(seen) + (seen.append(text) or 1)], "a tokenizer must not remember"),  # type: ignore[func-returns-value]
    ):
        with pytest.raises(AssertionError) as caught:
            tokenizer(cut)
        assert message in str(caught.value)


def metric(measure: Callable[[Any, Any, Any], Any]) -> None:
    class Own:
        class Config(MetricConfig):
            pass

        def __init__(self, config: Any, *, taxonomy: Any, support_C: Any) -> None:
            pass

        def __call__(self, predictions: Any, decisions: Any, gold: Any) -> Any:
            return measure(predictions, decisions, gold)

    metrics.register("own_4711")(Own)
    testing.check_metric("own_4711")


def test_metrics() -> None:
    metric(lambda predictions, decisions, gold: {"chosen": len(decisions.chosen.values) / len(gold)})

    def greedy(predictions: Any, decisions: Any, gold: Any) -> dict[str, float]:
        gold.values[:] = 0
        return {"a": 1.0}

    for measure, message in (
        (lambda p, d, g: {"a": len(d.chosen.values) / len(g.values)}, "ZeroDivisionError"),
        (lambda p, d, g: {"a": float("nan")}, "gave nan for 'a'"),
        (lambda p, d, g: {"first": int(g.lengths_N[0])}, "the order of documents must not count"),
        (lambda p, d, g: {"a": np.random.default_rng().random()}, "other numbers the second time"),
        (lambda p, d, g: {"a": float(p.scores.mean(where=p.scores > 0.5))}, "only the best scores kept"),
        (greedy, "the metric changed the gold"),
    ):
        with pytest.raises(AssertionError) as caught:
            metric(measure)
        assert message in str(caught.value), message


def test_torch_draws_on_as_if_nothing_had_been_tried() -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    testing.check_encoder("fasttext", rules=["shapes"])
    assert torch.equal(torch.rand(3), expected)


def test_neither_pytest_nor_hypothesis_is_needed() -> None:
    program = "import sys, linnaea.testing\nsys.exit({'pytest', 'hypothesis', '_pytest'} & set(sys.modules) != set())"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
