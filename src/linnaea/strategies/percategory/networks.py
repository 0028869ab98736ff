"""CategoryScorer: the networks of all categories as one scorer, in one file.

Tensors of encoder and head have a leading axis K, one slice a network; embedders are kept once each, for all networks that
read by them. A batch is embedded once an embedder; then each network reads it.

Shape letters: N documents, B documents of a batch, C categories, K networks, G embedders.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from linnaea.config.config import Config
from linnaea.config.percategory import PerCategoryStrategyConfig
from linnaea.decision.predictions import Predictions
from linnaea.errors import ConfigError, ModelError
from linnaea.nn.build import build_network
from linnaea.nn.network import Network, Sizes
from linnaea.strategies.base import WEIGHTS, ScoreSheet
from linnaea.strategies.network import BATCH, CPU_TOKENS, TOKENS, find_device
from linnaea.strategies.percategory.category import ONE
from linnaea.strategies.transformers import kept_shape, source_of, write_shape
from linnaea.taxonomy.taxonomy import Taxonomy
from linnaea.tensors import read_tensors, write_tensors
from linnaea.training.loader import score_batches

if TYPE_CHECKING:
    from linnaea.nn.batch import Batch
    from linnaea.strategies.percategory.finished import Finished
    from linnaea.strategies.percategory.plan import Plan
    from linnaea.text.featurizer import Featurizer
    from linnaea.text.store import Split

NEVER, ALWAYS, FOLLOWS, BELOW = -1, -2, -3, -4
LARGEST = 2**31
"""Numbers in all embedders together, at most: 8 GB."""

State = dict[str, Tensor]


class CategoryScorer:
    """Networks of single categories, and what the categories without one get.

    Args:
        template: a network of one category, whose weights are replaced by each network's.
        tables: G embedders' tensors.
        stacked: encoder's and head's tensors, ``[K, ...]``.
        table_K: the embedder that each network reads by.
        network_C: the network of each category; -1 never, -2 always; -3: as likely as the least likely parent; -4: as the
            likeliest category below.
        negatives: the policy: under siblings and inclusive scores are given the parent and multiply on the way down;
            under exclusive a score is the largest of a category and all below it.
    """

    kind: ClassVar[str] = "categories"

    def __init__(
        self,
        taxonomy: Taxonomy,
        template: Network,
        tables: Sequence[State],
        stacked: State,
        table_K: np.ndarray,
        network_C: np.ndarray,
        features: Sequence[str],
        reads: Literal["sequence", "bags"],
        negatives: str = "all",
    ) -> None:
        self.taxonomy, self.template = taxonomy, template
        self.tables, self.stacked, self.table_K, self.network_C = list(tables), stacked, table_K, network_C
        self.features, self.reads, self.negatives = tuple(features), reads, negatives

    @classmethod
    def assembled(
        cls, config: Config, taxonomy: Taxonomy, featurizer: Featurizer, finished: Finished
    ) -> Self:
        """The scorer of a run whose categories are all done.

        Raises:
            ConfigError: so many embedders that no machine would hold them.
        """
        plan, template = finished.plan, blank(config, featurizer, source_of(config, featurizer)[1])
        homes = sorted({finished.table(column) for column in plan.trained})
        numbers = (
            0
            if template.embedder is None
            else sum(t.numel() for t in template.embedder.state_dict().values())
        )
        if numbers * len(homes) > LARGEST:
            problem = f"{len(homes)} embeddings of {numbers:,} numbers each are too many for one model"
            hint = "let deeper categories keep their top ancestor's: freeze_embedding_below_level"
            raise ConfigError(problem, where="training.strategy.freeze_embedding_below_level", hint=hint)
        tables: list[State] = [{} for _ in homes]
        stacked: State = {
            name: torch.empty((len(plan.trained), *tensor.shape), dtype=tensor.dtype)
            for name, tensor in template.state_dict().items()
            if not name.startswith("embedder.")
        }
        # One network in memory at a time besides the stack.
        for k, column in enumerate(plan.trained):
            for name, array in finished.tensors(column).items():
                if not name.startswith("embedder."):
                    stacked[name][k] = torch.from_numpy(array)
                elif column in homes:
                    tables[homes.index(column)][name.removeprefix("embedder.")] = torch.from_numpy(array)
        table_K = np.array([homes.index(finished.table(column)) for column in plan.trained], dtype=np.int64)
        return cls(
            taxonomy, template, tables, stacked, table_K, _networks(plan), config.input.features,
            config.model.encoder.reads, plan.settings.negatives,
        ).to(find_device(config.run.device))  # fmt: skip

    def to(self, device: torch.device) -> Self:
        """Move it there."""
        self.template.to(device).eval()
        self.tables = [{name: t.to(device) for name, t in table.items()} for table in self.tables]
        self.stacked = {name: t.to(device) for name, t in self.stacked.items()}
        return self

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return next(iter(self.stacked.values())).device if self.stacked else torch.device("cpu")

    @property
    def parameters(self) -> int:
        """Numbers in all of it."""
        tensors = [*self.stacked.values(), *(t for table in self.tables for t in table.values())]
        return sum(tensor.numel() for tensor in tensors)

    def score(self, split: Split, keep: int | None = None) -> Predictions:
        sheet = ScoreSheet(len(split), len(self.taxonomy), keep)
        tokens = CPU_TOKENS if self.reads == "sequence" and self.device.type == "cpu" else TOKENS
        for batch in score_batches(split, self.features, self.reads, batch_size=BATCH, batch_tokens=tokens):
            sheet.put(batch.rows_B.cpu().numpy(), self.scores(batch.to(self.device)))
        return sheet.predictions(split.ids, self.taxonomy)

    @torch.inference_mode()
    def scores(self, batch: Batch) -> np.ndarray:
        """``[B, C]`` float32 scores of a batch."""
        own_KB = np.zeros((max(1, len(self.table_K)), len(batch)), dtype=np.float32)
        for k, logits_B in self._logits(batch):
            own_KB[k] = logits_B.float().sigmoid().cpu().numpy()
        scores_CB = own_KB[np.maximum(self.network_C, 0)]
        scores_CB[self.network_C == NEVER] = 0
        scores_CB[self.network_C == ALWAYS] = 1
        self._join(scores_CB)
        return np.ascontiguousarray(scores_CB.T)

    def _join(self, scores_CB: np.ndarray) -> None:
        """Bring in, in place, what categories owe to their parents and children."""
        parents, columns = self.taxonomy.parents, range(len(self.taxonomy))  # parents before their children
        follows_C = self.network_C == FOLLOWS
        scores_CB[follows_C | (self.network_C == BELOW)] = 0
        if self.negatives == "exclusive":
            for column in reversed(columns):
                above = parents[column]
                scores_CB[above] = np.maximum(scores_CB[above], scores_CB[column])
        for column in columns:
            if not len(parents[column]):
                continue
            if follows_C[column]:
                scores_CB[column] = scores_CB[parents[column]].min(0)
            elif self.negatives in ("siblings", "inclusive"):
                scores_CB[column] *= scores_CB[parents[column]].max(0)

    def _logits(self, batch: Batch) -> Iterator[tuple[int, Tensor]]:
        """The logits of each network, the embedders one after another."""
        for g, table in enumerate(self.tables):
            source: Any = batch
            if self.template.embedder is not None:
                source = functional_call(self.template.embedder, table, (batch,))
            for k in np.flatnonzero(self.table_K == g).tolist():
                encoded = functional_call(self.template.encoder, self._part("encoder", k), (source,))
                yield (
                    k,
                    functional_call(self.template.head, self._part("head", k), (encoded,)).logits_BC[:, 0],
                )

    def _part(self, part: str, k: int) -> State:
        start = f"{part}."
        return {n.removeprefix(start): t[k] for n, t in self.stacked.items() if n.startswith(start)}

    def save(self, folder: Path) -> None:
        named: dict[str, Tensor] = dict(self.stacked)
        for g, table in enumerate(self.tables):
            named |= {f"embedder.{g}.{name}": tensor for name, tensor in table.items()}
        tensors = {name: tensor.cpu().numpy() for name, tensor in named.items()}
        write_tensors(folder / WEIGHTS, tensors | {"table": self.table_K, "network": self.network_C})
        write_shape(folder, self.template.encoder)

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
        place, template = find_device(device), blank(config, featurizer, kept_shape(folder, config))
        tensors = read_tensors(folder / WEIGHTS)
        table_K = tensors.take("table", np.int64, (None,))
        network_C = tensors.take("network", np.int64, (len(taxonomy),))
        K, G = len(table_K), int(table_K.max(initial=-1)) + 1
        if network_C.max(initial=-1) >= K or table_K.min(initial=0) < 0:
            raise tensors.error("names networks that are not there")
        stacked: State = {}
        tables: list[State] = [{} for _ in range(G)]
        for name, tensor in template.state_dict().items():
            array, start = tensor.numpy(), "embedder."
            if not name.startswith(start):
                stacked[name] = torch.from_numpy(tensors.take(name, array.dtype, (K, *array.shape)))
                continue
            for g, table in enumerate(tables):
                own = name.removeprefix(start)
                table[own] = torch.from_numpy(tensors.take(f"{start}{g}.{own}", array.dtype, array.shape))
        tensors.end()
        strategy = config.training.strategy
        negatives = strategy.negatives if isinstance(strategy, PerCategoryStrategyConfig) else "all"
        return cls(
            taxonomy, template, tables, stacked, table_K, network_C, config.input.features,
            config.model.encoder.reads, negatives,
        ).to(place)  # fmt: skip


def blank(config: Config, featurizer: Featurizer, shape: Mapping[str, Any] | None) -> Network:
    """A network of one category, of the sizes that the input has; ``shape``: of a transformer."""
    one = Taxonomy.build([ONE], [ONE], [[]])
    sizes = Sizes(dict(featurizer.sizes), one, np.zeros(1, dtype=np.int64), 0, shape)
    with torch.random.fork_rng(devices=[]):  # nobody's random numbers change
        try:
            return build_network(config.model, config.input.features, sizes)
        except ConfigError as error:
            raise ModelError(error.message, where=error.where, hint=error.hint) from None


def _networks(plan: Plan) -> np.ndarray:
    """``[C]``: the number of each category's network, or what it has in place of one."""
    place = {column: k for k, column in enumerate(plan.trained)}
    others = {"never": NEVER, "always": ALWAYS, "parent": FOLLOWS, "below": BELOW}
    return np.array(
        [place[c] if kind == "network" else others[kind] for c, kind in enumerate(plan.kinds)], dtype=np.int64
    )
