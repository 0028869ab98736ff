"""What structure costs: the max constraint, its loss, and the closure of labels over a large taxonomy.

scripts/bench structure
scripts/bench structure --categories 10000 --documents 1000

Made taxonomies and labels; each row in a process of its own, one core, the fastest of three runs.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from benchmarks.common import Row, apart, arguments, measure, report
from linnaea.config.objective import MaxConstraintConfig
from linnaea.nn.batch import Bag
from linnaea.nn.objectives.constraint import MaxConstraint
from linnaea.nn.objectives.losses import together
from linnaea.ragged import Ragged
from linnaea.taxonomy.taxonomy import Taxonomy

TOPS, LABELS = 20, 3
PARENTS = {"tree": 1, "dag": 2}


def made(categories: int, parents: int, seed: int = 0) -> Taxonomy:
    """A taxonomy of so many categories: under 20 tops, each below up to ``parents`` of those that came before it."""
    rng, ids = np.random.default_rng(seed), [f"c{i}" for i in range(categories)]
    above: list[list[str]] = []
    for i in range(categories):
        found = rng.integers(i // 8, max(i, 1), parents) if i >= TOPS else []
        above.append([ids[p] for p in dict.fromkeys(found)])
    return Taxonomy.build(ids, ids, above)


def labels(documents: int, categories: int) -> Ragged:
    """Three categories a document, without their ancestors."""
    chosen = np.random.default_rng(1).integers(0, categories, (documents, LABELS))
    return Ragged.from_rows([sorted(set(row)) for row in chosen.tolist()])


def scored(graph: Taxonomy, documents: int) -> Callable[[], object]:
    """The constraint on logits, as a model's scores pass it."""
    constraint, logits_NC = MaxConstraint(graph), torch.randn(documents, len(graph))
    return lambda: constraint(logits_NC)


def trained(graph: Taxonomy, documents: int) -> Callable[[], object]:
    """The loss and its way back."""
    loss = together.MaxConstraintLoss(MaxConstraintConfig())
    loss.prepare(graph, np.ones(len(graph)), documents)
    closed = graph.close(labels(documents, len(graph)))
    bag = Bag(torch.from_numpy(closed.values.astype(np.int64)), torch.from_numpy(closed.offsets_N1))
    logits_NC = torch.randn(documents, len(graph), requires_grad=True)
    return lambda: loss(logits_NC, bag).sum().backward()


def closed(graph: Taxonomy, documents: int) -> Callable[[], object]:
    """Labels with all their ancestors; those of the categories are known."""
    given = labels(documents, len(graph))
    graph.close(given)
    return lambda: graph.close(given)


JOBS = {
    "max constraint on scores": scored,
    "max constraint loss and gradient": trained,
    "closure of labels": closed,
}


def row(job: str, kind: str, categories: int, documents: int) -> Row:
    """One line, measured in this process."""
    graph = made(categories, PARENTS[kind])
    name = f"{job}, {kind} of {categories:,}"
    found = measure(name, documents, JOBS[job](graph, documents), repeats=3, warm_up=True)
    facts = {"edges": float(len(graph.parents.values)), "milliseconds": found.seconds * 1000}
    return Row(found.name, found.documents, found.seconds, found.peak_mb, facts)


def alone(job: str, kind: str, categories: int, documents: int) -> Row:
    """The same on one core, for a process of its own."""
    torch.set_num_threads(1)
    return row(job, kind, categories, documents)


def main() -> None:
    """Print the table."""
    parser = arguments(__doc__)
    parser.add_argument("--categories", type=int, default=4000)
    parser.add_argument("--documents", type=int, default=1000)
    given = parser.parse_args()
    found = [apart(alone, job, kind, given.categories, given.documents) for job in JOBS for kind in PARENTS]
    report(found, given.json)


if __name__ == "__main__":
    main()
