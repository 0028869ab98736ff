"""Model: all that is shipped: taxonomy, featurizer, scorer, decider. Documents in, answers out.

Shape letters: N documents, C categories.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from linnaea.config.config import Config
from linnaea.corpus.document import Document
from linnaea.corpus.readers import documents_from
from linnaea.decision.asked import Asked, with_decoding
from linnaea.decision.decider import Decider
from linnaea.decision.predictions import Decisions, Predictions
from linnaea.errors import UsageError
from linnaea.metrics.evaluate import Evaluation, evaluate
from linnaea.model.answer import Answer, ScoredCategory
from linnaea.ragged import Ragged
from linnaea.strategies.base import Scorer, ScoreSheet
from linnaea.taxonomy.taxonomy import Taxonomy
from linnaea.text.featurizer import Featurizer
from linnaea.text.gold import gold_labels
from linnaea.text.store import Split

CHUNK = 4096
SCORES = 2**23  # that are there at once while answers are given: 32 MB
PATHS = 100  # at most so many ways from the top are printed of one category


@dataclass(frozen=True, eq=False)
class Model:
    """A trained classifier.

    Attributes:
        config: the parts of the training's config that act here (task, input, model, decision).
        facts: numbers about the training, for the card.
        support_C: documents of train in each category, for further metrics; None: not known.
    """

    taxonomy: Taxonomy
    featurizer: Featurizer
    scorer: Scorer
    decider: Decider
    config: Config
    facts: dict[str, Any] = field(default_factory=dict)
    support_C: np.ndarray | None = None

    def predict(
        self,
        documents: Iterable[Any],
        *,
        top_k: int | None = None,
        threshold: float | None = None,
        decoding: Asked | None = None,
        all_scores: bool = False,
    ) -> Iterator[Answer]:
        """Decide for each document, in order, reading the input in chunks of 4,096.

        Args:
            documents: strings, dictionaries, ``Document`` s, a pandas column or an Arrow table; labels are not needed.
            top_k: at most so many categories a document, before decoding adds ancestors.
            threshold: in place of the model's own thresholds.
            decoding: in place of the model's own: a name, or a dictionary as in a config.
            all_scores: every category with its score, decided or not.

        Raises:
            UsageError: ``top_k`` below 1, ``threshold`` outside [0, 1], or a ``decoding`` that cannot act.
        """
        decider = self.decider_with(top_k, threshold, decoding)
        stream = iter(self._documents(documents))
        while chunk := list(itertools.islice(stream, CHUNK)):
            yield from self.answer(self.featurizer.encode(chunk), decider, all_scores=all_scores)

    def answer(
        self, split: Split, decider: Decider | None = None, *, all_scores: bool = False
    ) -> Iterator[Answer]:
        """Answers for documents that are encoded already."""
        decider = decider or self.decider
        for predictions in self._pieces(split):
            decisions = self.decide(predictions, decider)
            yield from answers(
                decider.scored(predictions) if all_scores else predictions, decisions, all_scores=all_scores
            )

    def _pieces(self, split: Split) -> Iterator[Predictions]:
        """All scores of its documents, in order, of so many documents at a time as fit into ``SCORES``."""
        step = max(1, min(CHUNK, SCORES // len(self.taxonomy)))
        for start in range(0, len(split), step):
            rows = np.arange(start, min(start + step, len(split)))
            yield self.scorer.score(split if len(rows) == len(split) else split.take(rows))

    def scores(self, documents: Iterable[Any]) -> np.ndarray:
        """``[N, C]`` float32 scores, columns as ``taxonomy.ids``."""
        chunks = []
        stream = iter(self._documents(documents))
        while chunk := list(itertools.islice(stream, CHUNK)):
            for predictions in self._pieces(self.featurizer.encode(chunk)):
                chunks += [block for _, block in self.decider.scored(predictions).blocks()]
        return np.concatenate(chunks) if chunks else np.zeros((0, len(self.taxonomy)), dtype=np.float32)

    def evaluate(self, documents: Iterable[Any], labels: Iterable[Sequence[str]] | None = None) -> Evaluation:
        """Score the model on labelled documents.

        Raises:
            DataError: a document without labels, or a label that is not in the taxonomy.
        """
        chosen = list(documents_from(documents, self.config.data, labels=labels, need_labels=True))
        gold = gold_labels(chosen, self.taxonomy, self.config.task)
        return self.evaluate_split(self.featurizer.encode(chosen), gold)[0]

    def evaluate_split(self, split: Split, gold: Ragged) -> tuple[Evaluation, Predictions, Decisions]:
        """The same for documents that are encoded already; ``gold`` holds taxonomy columns, closed."""
        predictions = self.scorer.score(split, keep=self.config.evaluation.keep)
        decisions = self.decide(predictions)
        return self.measured(predictions, decisions, gold), predictions, decisions

    def decide(self, predictions: Predictions, decider: Decider | None = None) -> Decisions:
        """Decisions by the model's decider, or another. Where only the best scores were kept, the others are not decided."""
        decider = decider or self.decider
        predictions = self._kept(predictions, decider)
        if predictions.sparse and decider.top_k is None:
            decider = replace(decider, top_k=predictions.kept)
        return decider.decide(predictions)

    def _kept(self, predictions: Predictions, decider: Decider) -> Predictions:
        """The best scores that ``evaluation.keep`` leaves, or a higher cap asks for, as they were when it was measured.

        Which they are hangs on whether they are calibrated first.
        """
        keep = self.config.evaluation.keep
        if keep is None or decider.calibration is None or decider.choice == "best" or predictions.sparse:
            return predictions
        sheet = ScoreSheet(len(predictions), len(self.taxonomy), max(keep, decider.top_k or 0))
        for rows, block in predictions.blocks():
            sheet.put(rows, block)
        return sheet.predictions(predictions.ids, self.taxonomy)

    def measured(self, predictions: Predictions, decisions: Decisions, gold: Ragged) -> Evaluation:
        """Metrics of decisions against gold, as the task and the config's evaluation part say."""
        config = self.config
        return evaluate(
            self.decider.scored(predictions),
            decisions,
            gold,
            config.evaluation,
            closure=config.task.gold_closure,
            support_C=self.support_C,
        )

    def decider_with(
        self, top_k: int | None = None, threshold: float | None = None, decoding: Asked | None = None
    ) -> Decider:
        """The model's decider, or one with another cap, threshold or decoding."""
        decider = self.decider
        if top_k is not None:
            if top_k < 1:
                raise UsageError(f"must be 1 or more, not {top_k}", where="top_k")
            decider = replace(decider, top_k=top_k, promise=None)
        if threshold is not None:
            if decider.choice == "best":
                hint = "it takes the best category, whatever its score"
                raise UsageError("does nothing in a multiclass model", where="threshold", hint=hint)
            if not 0 <= threshold <= 1:
                raise UsageError(f"must lie in [0, 1], not {threshold}", where="threshold")
            never = np.isinf(decider.thresholds_C)
            decider = replace(decider, thresholds_C=np.where(never, np.inf, threshold), promise=None)
        if decoding is not None and self.config.task.flat:
            problem = f"a {self.config.task.type} model is flat: nothing to decode"
            raise UsageError(problem, where="decoding", hint="leave it out")
        return with_decoding(decider, decoding, top_k)

    def save(self, path: Path | str) -> None:
        """Write the model folder (safetensors and JSON)."""
        from linnaea.model.folder import save

        save(self, path)

    def _documents(self, documents: Iterable[Any]) -> Iterable[Document]:
        if isinstance(documents, str):
            raise UsageError(
                "expected many documents, got one string", where="predict", hint="put it in a list"
            )
        return documents_from(documents, self.config.data)


def answers(predictions: Predictions, decisions: Decisions, *, all_scores: bool = False) -> Iterator[Answer]:
    """Answers, best score first; ties in the order of columns."""
    taxonomy = predictions.taxonomy
    facts = _names(taxonomy)
    if all_scores:
        for rows, block in predictions.blocks():
            for row, scores_C in zip(range(rows.start, rows.stop), block, strict=True):
                chosen = dict(zip(decisions.chosen[row].tolist(), _row(decisions, row), strict=True))
                shown = [chosen.get(c, round(float(s), 6)) for c, s in enumerate(scores_C)]
                order = np.argsort(-np.array(shown), kind="stable").tolist()
                categories = tuple(facts[c].scored(shown[c], decided=c in chosen) for c in order)
                yield Answer(predictions.ids[row], categories, complete=True)
        return
    for row, name in enumerate(predictions.ids):
        pairs = zip(decisions.chosen[row].tolist(), _row(decisions, row), strict=True)
        ranked = sorted(pairs, key=lambda pair: (-pair[1], pair[0]))
        yield Answer(name, tuple(facts[c].scored(score) for c, score in ranked))


def _row(decisions: Decisions, row: int) -> list[float]:
    start, stop = decisions.chosen.offsets_N1[row], decisions.chosen.offsets_N1[row + 1]
    # Six decimals: float32's own noise is not shown as if it were information.
    return [round(float(score), 6) for score in decisions.scores[start:stop]]


class _Shown(NamedTuple):
    """What is printed of a category, whatever its score."""

    id: str
    name: str
    path: str
    paths: tuple[str, ...]

    def scored(self, score: float, *, decided: bool = True) -> ScoredCategory:
        return ScoredCategory(self.id, self.name, self.path, score, self.paths, decided)


class _Names(dict[int, _Shown]):
    """What is printed of each category, made when it is first asked for: in a large DAG the ways are many."""

    def __init__(self, taxonomy: Taxonomy) -> None:
        super().__init__()
        self.taxonomy = taxonomy

    def __missing__(self, column: int) -> _Shown:
        taxonomy = self.taxonomy
        # Several ways lead here where it or an ancestor has several parents.
        several = any(len(taxonomy.parents[int(above)]) > 1 for above in taxonomy.ancestors[column])
        paths = tuple(taxonomy.paths(column, limit=PATHS)) if several else ()
        shown = self[column] = _Shown(
            taxonomy.ids[column], taxonomy.names[column], taxonomy.path(column), paths
        )
        return shown


@functools.lru_cache(maxsize=4)
def _names(taxonomy: Taxonomy) -> _Names:
    return _Names(taxonomy)
