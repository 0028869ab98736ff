"""The executor ``grouped``: categories that may begin at the same time, with all their class weights, as one network.

On a GPU a step of many small networks takes little longer than a step of one (``nn/grouped/``). How many train together is
bounded by memory; the models do not depend on it, but for rounding.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from linnaea.nn.grouped.network import kept_bytes
from linnaea.nn.network import Network
from linnaea.reporter import Reporter
from linnaea.strategies.percategory.category import Assignment, CategoryWork, Tried
from linnaea.strategies.percategory.finished import Finished
from linnaea.strategies.percategory.group import Candidate, Group
from linnaea.strategies.percategory.progress import Tree, stopped
from linnaea.training.interruption import Interruption
from linnaea.training.loader import Loader, collate

BUDGET = 2 * 10**9
"""Bytes that a group may take on a CPU."""
SHARE = 0.5
"""Of a GPU's free memory: what a group may take. The estimate is rough, and blocks of many sizes leave gaps."""
COPIES = 6
"""Of what learns: itself, its gradient, two of Adam's, its best, and one on the way."""


def grouped(work: CategoryWork, finished: Finished, reporter: Reporter) -> None:
    """In this process, on its device; see ``executors.Executor``."""
    tree, plan = Tree(work, finished, reporter), work.plan
    work.tell(reporter)
    with Interruption() as interruption:

        def after_step(epoch: int) -> None:
            if interruption.received is not None:
                raise stopped(finished)

        while waiting := [c for c in plan.trained if c not in finished and plan.ready(c, finished)]:
            for alike in _kinds(work, finished, waiting):
                _train(work, finished, tree, alike, after_step)


def _kinds(work: CategoryWork, finished: Finished, columns: Sequence[int]) -> list[list[int]]:
    """Categories that may train together: all fresh, or all with parents, and all or none with a frozen embedder."""
    kinds: dict[tuple[bool, bool], list[tuple[int, int]]] = {}
    for column in columns:
        parent = work.plan.inherits_from(column, finished.f1)
        frozen = parent is not None and work.plan.frozen(column)
        table = finished.table(parent) if parent is not None and frozen else -1
        kinds.setdefault((parent is None, frozen), []).append((table, column))
    # Those that read by one embedder stand together.
    return [[column for _, column in sorted(pairs)] for pairs in kinds.values()]


def _train(
    work: CategoryWork,
    finished: Finished,
    tree: Tree,
    columns: Sequence[int],
    after_step: Callable[[int], None],
) -> None:
    """Train categories of one kind, as many at a time as there is room for."""
    most, positions = _room(work, work.assignment(columns[0], finished.beginning(columns[0])))
    weights = work.weights
    pieces = -(-len(columns) // max(1, most // len(weights)))
    for piece in np.array_split(np.array(columns), pieces):
        began = time.perf_counter()
        assignments = [work.assignment(int(column), finished.beginning(int(column))) for column in piece]
        tree.running = {assignment.column for assignment in assignments}
        tree.show()
        network, candidates = _candidates(work, assignments)
        tried: list[Tried] = []
        for start in range(0, len(candidates), most):
            part = candidates[start : start + most]
            tried += Group(work, network, part, positions, after_step).run()
        # Of equals the first, as in ``CategoryWork.fit``; the weights of a category stand together.
        for r, assignment in enumerate(assignments):
            own = tried[r * len(weights) : (r + 1) * len(weights)]
            best = own[0]
            for other in own[1:]:
                best = best.better(other)
            seconds = (time.perf_counter() - began) / len(assignments)
            tree.put(work.concluded(assignment, best, [one.facts for one in own], seconds))


def _candidates(work: CategoryWork, assignments: Sequence[Assignment]) -> tuple[Network, list[Candidate]]:
    """All of these categories, and one of their networks."""
    first: Network | None = None
    found: list[Candidate] = []
    tables: set[int] = set()
    for assignment in assignments:
        network = work.network(assignment)
        first = first or network
        start, state = assignment.job.start, dict(network.state_dict())
        frozen = start is not None and start.frozen and assignment.beginning.table is not None
        if frozen and assignment.beginning.table in tables:
            state = {name: tensor for name, tensor in state.items() if not name.startswith("embedder.")}
        for weight in work.weights:
            table = assignment.beginning.table if frozen else -1 - len(found)
            assert table is not None
            tables.add(table)
            moved = _weighted(network, state, weight) if work.trainer.begins_at_prior else state
            found.append(Candidate(assignment, weight, moved, table))
    assert first is not None
    return first, found


def _weighted(network: Network, state: Mapping[str, Tensor], weight: float) -> dict[str, Tensor]:
    """``state`` with the biases where a class weight has them, as ``unfold_class_weights`` puts them."""
    biases = {id(bias) for bias in network.head.biases()}
    names = {name for name, parameter in network.named_parameters() if id(parameter) in biases}
    return {name: t + math.log(weight) if name in names else t for name, t in state.items()}


def _room(work: CategoryWork, assignment: Assignment) -> tuple[int, int]:
    """How many networks like that of a category there is room for, and the padded tokens of the largest batch."""
    trainer, network = work.trainer, work.network(assignment)
    config, device = trainer.config, trainer.fabric.device
    loader = Loader(
        work.pool,
        config.input.features,
        config.model.encoder.reads,
        work.config.training,
        work.config.run.seed,
    )
    lengths_N = np.maximum(np.asarray(work.pool.lengths_N), 1)
    plan = loader.plan(1)
    largest = max(plan, key=lambda rows: len(rows) * int(lengths_N[rows].max()))
    positions = len(largest) * int(lengths_N[largest].max())
    batch = collate(work.pool, config.input.features, config.model.encoder.reads, largest).to(device)
    learning = sum(p.numel() for p in network.parameters() if p.requires_grad)
    each = 4 * COPIES * learning + kept_bytes(network.to(device), batch)
    free = SHARE * torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else BUDGET
    return max(1, int(free / max(1, each))), max(positions, 1024)
