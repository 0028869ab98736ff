"""NetworkScorer: a trained network as a scorer; saved as safetensors, loaded into freshly built shapes.

Scoring works in float32, on large batches of documents of like length; results stand in the split's order.

Shape letters: N documents, B documents of a batch, C categories.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import numpy as np
import torch
from torch import Tensor

from linnaea.config.config import Config
from linnaea.decision.predictions import Predictions
from linnaea.errors import ConfigError, ModelError, UsageError
from linnaea.nn.batch import Batch
from linnaea.nn.build import build_network
from linnaea.nn.network import HeadOutput, Network, Sizes
from linnaea.nn.objectives.constraint import MaxConstraint
from linnaea.nn.objectives.objective import constraint_of, scores
from linnaea.strategies.base import WEIGHTS, ScoreSheet
from linnaea.strategies.transformers import SHAPE, kept_shape, write_shape
from linnaea.taxonomy.taxonomy import Taxonomy
from linnaea.tensors import read_tensors, write_tensors
from linnaea.training.loader import score_batches

if TYPE_CHECKING:
    from linnaea.text.featurizer import Featurizer
    from linnaea.text.store import Split

BATCH = 1024  # documents, at most
LOGITS = 2**22  # of a batch, at most: 16 MB, and what heads and scores make of them is some times that
TOKENS = 32_768  # of a batch, padding included
# Of sequences on a CPU: more of them pad more and leave the cache (TextCNN scores 0.9 times as fast at 32,768), fewer
# repeat fewer tokens (0.75 times as fast at 8,192).
CPU_TOKENS = 16_384


class NetworkScorer:
    """A network, and how its logits become scores. It works where the network is.

    Args:
        features: of the input, as they are collated.
        reads: what the network's encoder reads.
        kind_of_scores: sigmoid or softmax.
        shift_C: taken off the logits: what class weights added to them while training.
        constraint: what scores pass at the end; None: nothing.
    """

    kind: ClassVar[str] = "network"

    def __init__(
        self,
        taxonomy: Taxonomy,
        network: Network,
        features: Sequence[str],
        reads: Literal["sequence", "bags"],
        kind_of_scores: Literal["sigmoid", "softmax"],
        shift_C: Tensor | None = None,
        constraint: MaxConstraint | None = None,
    ) -> None:
        self.taxonomy, self.network = taxonomy, network
        self.features, self.reads, self.kind_of_scores = tuple(features), reads, kind_of_scores
        self.shift_C, self.constraint = shift_C, constraint

    @classmethod
    def of(cls, config: Config, taxonomy: Taxonomy, network: Network) -> Self:
        """A scorer for a network that ``config`` describes."""
        loss = config.objective.loss
        assert loss is not None  # a resolved config has one
        features, reads = config.input.features, config.model.encoder.reads
        constraint = constraint_of(loss, taxonomy)
        return cls(taxonomy, network, features, reads, loss.scores, constraint=constraint)

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.network.parameters()).device

    def score(self, split: Split, keep: int | None = None) -> Predictions:
        sheet = ScoreSheet(len(split), len(self.taxonomy), keep)
        for batch, output in self.outputs(split):
            sheet.put(batch.rows_B.cpu().numpy(), self.scores_of(output))
        return sheet.predictions(split.ids, self.taxonomy)

    @torch.inference_mode()
    def outputs(self, split: Split) -> Iterator[tuple[Batch, HeadOutput]]:
        """Every document of ``split`` once, in batches of like length, on the network's device."""
        self.network.eval()
        size = max(1, min(BATCH, LOGITS // (len(self.taxonomy) * self.network.head.held)))
        tokens = CPU_TOKENS if self.reads == "sequence" and self.device.type == "cpu" else TOKENS
        for batch in score_batches(split, self.features, self.reads, batch_size=size, batch_tokens=tokens):
            moved = batch.to(self.device)
            yield moved, self.network(moved)

    def scores_of(self, output: HeadOutput) -> np.ndarray:
        """``[B, C]`` float32 scores of a batch."""
        logits_BC = output.logits_BC if self.shift_C is None else output.less(self.shift_C)
        return scores(logits_BC, self.kind_of_scores, self.constraint).float().cpu().numpy()

    def save(self, folder: Path) -> None:
        state = self.network.state_dict()
        write_tensors(folder / WEIGHTS, {name: tensor.cpu().numpy() for name, tensor in state.items()})
        write_shape(folder, self.network.encoder)

    @classmethod
    def load(
        cls, folder: Path, config: Config, taxonomy: Taxonomy, featurizer: Featurizer, *, device: str = "auto"
    ) -> Self:
        """What ``save`` wrote.

        Raises:
            ModelError: missing, truncated, not finite, or of other sizes than the config and what is beside
                it ask for.
            UsageError: there is no such device here.
        """
        place = find_device(device)
        nothing_C = np.zeros(len(taxonomy), dtype=np.int64)
        shape = kept_shape(folder, config)
        sizes = Sizes(dict(featurizer.sizes), taxonomy, nothing_C, 0, shape)
        with torch.random.fork_rng(devices=[]):  # loading a model changes nobody's random numbers
            try:
                network = build_network(config.model, config.input.features, sizes)
            except ConfigError as bad:
                if shape is None:
                    raise
                raise ModelError(bad.message, where=str(folder / SHAPE)) from None
        tensors, state = read_tensors(folder / WEIGHTS), {}
        for name, tensor in network.state_dict().items():
            blank = tensor.numpy()
            state[name] = torch.from_numpy(tensors.take(name, blank.dtype, blank.shape))
        tensors.end()
        network.load_state_dict(state)
        return cls.of(config, taxonomy, network.to(place).eval())


def find_device(name: str) -> torch.device:
    """The device called ``name``; auto: a GPU where there is one.

    Raises:
        UsageError: there is none here, or no such name.
    """
    here = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, there in here.items() if there))
    if not here.get(name, False):
        raise UsageError(
            f"there is no device {name!r} here", where="device", hint='"auto" takes what there is'
        )
    return torch.device(name)
