"""Progress: how far a run of one network a category is, told while it lasts and when it is stopped."""

from __future__ import annotations

from collections.abc import Iterable

from linnaea.errors import InterruptedRun
from linnaea.reporter import Reporter
from linnaea.strategies.percategory.category import CategoryFit, CategoryWork
from linnaea.strategies.percategory.finished import Finished
from linnaea.strategies.percategory.plan import LEAST_NEGATIVES

ENOUGH = 3
"""Finished categories, from which on the time that is left is told."""


class Tree:
    """The state of all categories, for progress.

    Args:
        workers: how many categories train at a time.
    """

    def __init__(self, work: CategoryWork, finished: Finished, reporter: Reporter, workers: int = 1) -> None:
        self.plan, self.finished, self.reporter, self.workers = work.plan, finished, reporter, workers
        self.running: set[int] = set()
        self.timed: dict[int, float] = {}  # seconds of the categories that this call trained
        self.show()

    def _weight(self, column: int) -> float:
        """How much work a category is, roughly: its documents under the policy."""
        times, support = self.plan.settings.negatives_per_positive, int(self.plan.support_C[column])
        if times is None:
            return float(self.plan.documents)
        return min(self.plan.documents, support + max(float(LEAST_NEGATIVES), times * support))

    def _weights(self, columns: Iterable[int]) -> float:
        return sum(map(self._weight, columns), 0.0)

    def seconds_left(self) -> float | None:
        """How long the rest will take; None: too little is known, or nothing is left.

        From the seconds that the categories themselves took: what processes need to start is no part of them.
        """
        rest = [column for column in self.plan.trained if column not in self.finished]
        if len(self.timed) < ENOUGH or not rest:
            return None
        pace = sum(self.timed.values()) / self._weights(self.timed)
        return pace * self._weights(rest) / min(self.workers, len(rest))

    def show(self, last: str = "") -> None:
        """Tell how far each level is, and how long the rest will take."""
        plan, parts = self.plan, []
        for level, columns in plan.taxonomy.levels():
            trained = [c for c in range(columns.start, columns.stop) if plan.kinds[c] == "network"]
            done = sum(column in self.finished for column in trained)
            running = sum(column in self.running for column in trained)
            if trained:
                parts.append(
                    f"level {level}: {done}/{len(trained)}" + (f" ({running} running)" if running else "")
                )
        left = self.seconds_left()
        if left is not None:
            parts.append(f"{left:.0f} s left")
        detail = ", ".join(parts) + (f"; {last}" if last else "")
        self.reporter.progress("categories", len(self.finished), len(plan.trained), detail)

    def put(self, fit: CategoryFit) -> None:
        """A category is done."""
        self.finished.put(fit)
        self.running.discard(fit.column)
        self.timed[fit.column] = float(fit.facts["seconds"])
        self.show(f"{fit.facts['id']}: F1 {fit.facts['f1']:.2f}")


def stopped(finished: Finished) -> InterruptedRun:
    """The error that tells how far a stopped run is."""
    done, all_of_them = len(finished), len(finished.plan.trained)
    return InterruptedRun(
        f"interrupted when {done} of {all_of_them} categories were done",
        where=str(finished.folder), hint="--resume goes on from them",
    )  # fmt: skip
