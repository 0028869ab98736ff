"""NeuralClassifier's flat evaluation as it behaves, in plain loops over label strings.

A label is a string, whole paths included; the labels are those of a dictionary. A document's decision: of its
``top_k`` highest scores those above the threshold.
"""

from __future__ import annotations

from collections.abc import Sequence


def f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def decided(scores: dict[str, float], threshold: float, top_k: int) -> set[str]:
    best = sorted(scores, key=lambda label: -scores[label])[:top_k]
    return {label for label in best if scores[label] > threshold}


def evaluated(
    chosen: Sequence[set[str]], gold: Sequence[set[str]], dictionary: Sequence[str]
) -> dict[str, float]:
    """Its numbers; gold outside of the dictionary is dropped, as its loader does."""
    right, said, meant = (dict.fromkeys(dictionary, 0) for _ in range(3))
    for labels, truth in zip(chosen, gold, strict=True):
        for label in labels:
            said[label] += 1
            if label in truth:
                right[label] += 1
        for label in truth:
            if label in meant:
                meant[label] += 1
    precisions = [right[x] / said[x] if said[x] else 0.0 for x in dictionary]
    recalls = [right[x] / meant[x] if meant[x] else 0.0 for x in dictionary]
    precision, recall = sum(precisions) / len(dictionary), sum(recalls) / len(dictionary)
    hits, all_said, all_meant = sum(right.values()), sum(said.values()), sum(meant.values())
    micro_precision = hits / all_said if all_said else 0.0
    micro_recall = hits / all_meant if all_meant else 0.0
    return {
        "micro_precision": micro_precision,
        "micro_recall": micro_recall,
        "micro_f1": f1(micro_precision, micro_recall),
        "macro_precision": precision,
        "macro_recall": recall,
        "macro_f1": f1(precision, recall),
        "labels": len(dictionary),
        "right": hits,
        "decided": all_said,
        "gold": all_meant,
    }
