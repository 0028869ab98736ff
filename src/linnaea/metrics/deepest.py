"""What NeuralClassifier's evaluator counts, for numbers that can be laid beside its own.

Each label that its files write is a class by itself: ``CCAT--C15`` gets no credit for ``CCAT--C15--C152``. Micro
precision, recall and F1 are over all (document, label) pairs; macro precision and recall are means over all its
labels, a label without documents counting 0; its macro-F1 is the F1 of these two means.

Its labels are those of the dictionary: of train, and under ``over: seen`` also those of the scored documents. Under
``over: train`` gold that train lacks is left out, as its loader leaves it out.

Under ``labels: deepest`` decisions and gold are first reduced to the categories that have no descendant in the same
document. Which labels train writes is then known only in part, since gold is closed: those without children, those
that have more documents than all their children together, and those that the scored documents show.

Differences: two ways to one category of a DAG are two labels there, one category here. A score equal to the threshold
is decided here, not there. Labels whose names begin with 其他 ("other") count here; it drops them. A document without
gold stops it; here what is decided for such a document is wrong.

Shape letters: N documents, C categories.
"""

from __future__ import annotations

import numpy as np

from linnaea.config.metrics import NeuralClassifierConfig
from linnaea.config.registry import metrics
from linnaea.decision.predictions import Decisions, Predictions
from linnaea.metrics.counts import Counts, Rates, contains, pair_keys, ratio, row_blocks
from linnaea.ragged import Ragged
from linnaea.taxonomy.taxonomy import Taxonomy


@metrics.register("neuralclassifier")
class NeuralClassifierMetric:
    """Micro rates and the F1 of averages over the labels of the old program.

    Args:
        support_C: documents of train in each category.
    """

    def __init__(self, config: NeuralClassifierConfig, *, taxonomy: Taxonomy, support_C: np.ndarray) -> None:
        self.config, self.taxonomy, self.support_C = config, taxonomy, np.asarray(support_C)

    def __call__(self, predictions: Predictions, decisions: Decisions, gold: Ragged) -> dict[str, float]:
        chosen, columns = decisions.chosen, len(self.taxonomy)
        if self.config.labels == "deepest":
            chosen, gold = deepest(chosen, self.taxonomy), deepest(gold, self.taxonomy)
        labels_C = self._written()
        if self.config.over == "seen" or self.config.labels == "deepest":
            shown_C = gold.counts(columns) > 0
            labels_C = labels_C | (shown_C if self.config.over == "seen" else shown_C & (self.support_C > 0))
        counts = Counts.of(chosen, gold, columns)
        hits, decided, wanted = (
            int(c[labels_C].sum()) for c in (counts.hits_C, counts.chosen_C, counts.gold_C)
        )
        micro, labels = Rates.of(hits, decided, wanted), int(labels_C.sum())
        precision = float(ratio(counts.precision_C[labels_C].sum(), labels))
        recall = float(ratio(counts.recall_C[labels_C].sum(), labels))
        return {
            "micro_precision": micro.precision,
            "micro_recall": micro.recall,
            "micro_f1": micro.f1,
            "macro_precision": precision,
            "macro_recall": recall,
            "macro_f1": float(ratio(2 * precision * recall, precision + recall)),
            "labels": labels,
            "right": hits,
            "decided": decided,
            "gold": wanted,
        }

    def _written(self) -> np.ndarray:
        """bool ``[C]``: the categories that are known to be labels of documents of train."""
        if self.config.labels == "written":
            return self.support_C > 0
        parent_E, child_E = self.taxonomy.edges
        below_C = np.zeros(len(self.taxonomy), dtype=np.int64)
        np.add.at(below_C, parent_E, self.support_C[child_E].astype(np.int64))
        return self.support_C > below_C


def deepest(rows: Ragged, taxonomy: Taxonomy) -> Ragged:
    """``rows`` (columns of each document) without those that have a descendant in the same document.

    Args:
        rows: in any order; repeats count once.

    Returns:
        ``[N]`` rows, ascending.
    """
    columns, parts = len(taxonomy), []
    for _, (part,) in row_blocks(rows):
        keys = pair_keys(part, columns)
        row, column = keys // columns, keys % columns
        above = taxonomy.ancestors.take(column)
        ancestor_keys = row[above.rows] * columns + above.values
        ancestor_keys = np.unique(ancestor_keys[above.values != column[above.rows]])
        kept = ~contains(ancestor_keys, keys)
        parts.append(Ragged.from_pairs(row[kept], column[kept], len(part)))
    return Ragged.concatenate(parts)
