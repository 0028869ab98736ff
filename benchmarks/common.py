"""What every benchmark needs: documents a second, peak memory, what the machine is worth; a table or JSON.

Machines differ and are noisy. So each report begins with the rate of a 1024³ single-precision matrix product
on one core: compare speeds between machines by their ratio to it.

    scripts/bench common            prints that rate
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

import linnaea

T = TypeVar("T")
SIZE = 1024


@dataclass(frozen=True)
class Row:
    """One line of a report.

    Attributes:
        documents: that were worked on, over all passes.
        seconds: of wall time, of the fastest repeat.
        peak_mb: of the process, from its start (MiB).
        facts: further figures, such as a score.
    """

    name: str
    documents: int
    seconds: float
    peak_mb: float
    facts: dict[str, float] = field(default_factory=dict)

    @property
    def documents_per_second(self) -> float:
        return self.documents / self.seconds if self.seconds else float("inf")


def measure(
    name: str, documents: int, job: Callable[[], object], *, repeats: int = 1, warm_up: bool = False
) -> Row:
    """Run ``job`` and take the fastest of ``repeats``; ``warm_up`` runs it once more before.

    Args:
        documents: that one run of ``job`` works on.
    """
    if warm_up:
        job()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        job()
        seconds.append(time.perf_counter() - start)
    return Row(name, documents, min(seconds), peak_mb())


def peak_mb() -> float:
    """The most memory that this process ever held, MiB."""
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / 2**20 if sys.platform == "darwin" else used / 2**10  # bytes there, KiB on Linux


def apart(job: Callable[..., T], *arguments: Any) -> T:
    """The result of ``job(*arguments)``, run in a fresh process, so that peak memory is its own.

    ``job`` is a function at the top of a module; arguments and result can be pickled.
    """
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(job, arguments)


def sgemm(size: int = SIZE, seconds: float = 1.0) -> float:
    """GFLOP/s of a ``size``³ single-precision product on one core; the best within ``seconds``."""
    generator = np.random.default_rng(0)
    left, right = (generator.standard_normal((size, size), dtype=np.float32) for _ in range(2))
    out = np.empty_like(left)
    best = float("inf")
    with threadpool_limits(1):
        np.matmul(left, right, out=out)
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            start = time.perf_counter()
            np.matmul(left, right, out=out)
            best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best / 1e9


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "linnaea": linnaea.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        "threads": int(os.environ.get("OMP_NUM_THREADS", 0)) or None,
        "sgemm_gflops_per_core": round(sgemm(), 1),
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(
                (line.split(":")[1].strip() for line in file if line.startswith("model name")), "unknown"
            )
    except OSError:
        return platform.processor() or "unknown"


def arguments(description: str | None) -> argparse.ArgumentParser:
    """A parser with what all benchmarks take."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    return parser


def report(rows: Sequence[Row], as_json: bool) -> None:
    """Print the machine and the rows on stdout."""
    about = machine()
    if as_json:
        values = [{**asdict(row), "documents_per_second": row.documents_per_second} for row in rows]
        print(json.dumps({"machine": about, "rows": values}, indent=2))
        return
    print(", ".join(f"{key} {value}" for key, value in about.items() if value is not None))
    if rows:
        print("\n" + table(rows))


def table(rows: Sequence[Row]) -> str:
    """A Markdown table; a column for each fact that any row has."""
    facts = list(dict.fromkeys(name for row in rows for name in row.facts))
    lines = [
        "| | documents | seconds | documents/s | peak MiB |" + "".join(f" {name} |" for name in facts),
        "|---|" + "---:|" * (4 + len(facts)),
    ]
    for row in rows:
        cells = [row.name, f"{row.documents:,}", f"{row.seconds:.2f}"]
        cells += [f"{row.documents_per_second:,.0f}", f"{row.peak_mb:,.0f}"]
        cells += [f"{row.facts[name]:.4g}" if name in row.facts else "" for name in facts]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Print what this machine is worth."""
    report([], arguments(__doc__).parse_args().json)


if __name__ == "__main__":
    main()
