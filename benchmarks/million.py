"""A million generated documents through the whole main job: files to ids, one epoch of FastText, memory watched.

    scripts/bench million --documents 1000000 --tokens 100 --epochs 1

A document has ``--tokens`` tokens on average (lengths are geometric, from 10 on), from 200,000 words by Zipf's law; a
third of them are words of its category, so there is something to learn. 100 categories on two levels. The same seed
gives the same bytes.

Memory is sampled from /proc (Linux) over this process and those it starts. "anonymous" is what must be in memory;
"mapped" pages are files (libraries, the encoded corpus) that the system may drop at any time. ``above`` is peak
anonymous memory less the weights, in MiB; the process with torch loaded, before any work, stands in it too (``before``).
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import Row, apart, arguments, report
from linnaea.config.config import Config
from linnaea.corpus.policy import ErrorPolicy
from linnaea.reporter import Silent
from linnaea.run_folder import RunFolder
from linnaea.text.build import build_corpus

WORDS, GROUPS, LEAVES = 200_000, 10, 90
_BLOCK = 5000


def generate(folder: Path, documents: int, tokens: int, seed: int = 0) -> None:
    """Write ``train.jsonl``, ``dev.jsonl`` (2,000 documents) and ``taxonomy.tsv``."""
    groups = [f"g{i}" for i in range(GROUPS)]
    leaves = [f"{groups[i % GROUPS]}c{i}" for i in range(LEAVES)]
    lines = ["\t".join(["Root", *groups])]
    lines += ["\t".join([g, *(leaf for leaf in leaves if leaf.startswith(f"{g}c"))]) for g in groups]
    (folder / "taxonomy.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for name, count in (("train", documents), ("dev", 2000)):
        generator = np.random.default_rng([seed, len(name)])
        with open(folder / f"{name}.jsonl", "w", encoding="utf-8") as file:
            for start in range(0, count, _BLOCK):
                file.writelines(_block(generator, min(_BLOCK, count - start), tokens, leaves))


def _block(generator: np.random.Generator, documents: int, tokens: int, leaves: list[str]) -> list[str]:
    lengths = 10 + generator.geometric(1 / max(1, tokens - 10), documents)
    total = int(lengths.sum())
    # Zipf's law with exponent 1: the rank is the exponential of a uniform number.
    ranks = (WORDS ** generator.random(total)).astype(np.int64)
    category = generator.integers(0, LEAVES, documents)
    own = generator.random(total) < 1 / 3
    ranks = np.where(own, ranks // LEAVES * LEAVES + np.repeat(category, lengths), ranks)
    words = [f"w{rank}" for rank in ranks.tolist()]
    ends = np.cumsum(lengths).tolist()
    return [
        f'{{"doc_label":["{leaves[label][:2]}--{leaves[label]}"],"doc_token":["{_listed(words[end - length : end])}"]}}\n'
        for label, length, end in zip(category.tolist(), lengths.tolist(), ends, strict=True)
    ]


def _listed(words: list[str]) -> str:
    return '","'.join(words)


class Watch:
    """The most memory that this process and its children held at once, sampled 20 times a second."""

    def __init__(self) -> None:
        self.anonymous = self.mapped = 0.0
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()
        self._thread.join()
        self.look()

    def _work(self) -> None:
        while not self._left.wait(0.05):
            self.look()

    def look(self) -> float:
        """Take a sample; the anonymous MiB now."""
        anonymous = mapped = 0
        for process in (os.getpid(), *_children()):
            values = _status(process)
            anonymous += values.get("RssAnon", 0) + values.get("RssShmem", 0)
            mapped += values.get("RssFile", 0)
        self.anonymous = max(self.anonymous, anonymous / 1024)
        self.mapped = max(self.mapped, mapped / 1024)
        return anonymous / 1024


def _children() -> list[int]:
    try:
        paths = list(Path("/proc/self/task").glob("*/children"))
        return [int(number) for path in paths for number in path.read_text().split()]
    except OSError:  # a thread has just ended
        return []


def _status(process: int) -> dict[str, int]:
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return {}
    return {k: int(v.split()[0]) for k, _, v in (x.partition(":") for x in lines) if k.startswith("Rss")}


def run(folder: Path, documents: int, epochs: int, threads: int) -> list[Row]:
    """Encode and train; what each step took and held."""
    from linnaea.strategies.build import build_strategy

    os.environ["LINNAEA_CACHE"] = str(folder / "cache")
    config = Config.build(
        {
            "task": {"type": "hierarchical", "taxonomy": str(folder / "taxonomy.tsv")},
            "data": {name: str(folder / f"{name}.jsonl") for name in ("train", "dev")},
            "input": {"max_tokens": 256},
            "model": {"embedder": {"type": "lookup", "dimension": 64}, "encoder": "fasttext"},
            "training": {"epochs": epochs, "early_stopping": None},
            "run": {"threads": threads, "device": "cpu"},
        }
    )
    kept: dict[str, Any] = {"strategy": build_strategy(config)}
    before = Watch().look()
    rows = []
    for name, job in (
        ("encode", lambda: kept.update(corpus=build_corpus(config, policy=ErrorPolicy("raise")))),
        ("open again", lambda: kept.update(corpus=build_corpus(config, policy=ErrorPolicy("raise")))),
        ("train", lambda: kept.update(fitted=_fit(kept, folder))),
    ):
        busy, start = time.process_time(), time.perf_counter()
        with Watch() as watch:
            job()
        seconds = time.perf_counter() - start
        facts = {"anonymous": watch.anonymous, "mapped": watch.mapped, "before": before}
        facts["cpu"] = (time.process_time() - busy) / seconds
        rows.append(Row(name, documents * (epochs if name == "train" else 1), seconds, 0.0, facts))
    network = kept["fitted"].scorer.network
    weights = sum(p.numel() * p.element_size() for p in network.parameters()) / 2**20
    return [_above(row, weights) for row in rows]


def _above(row: Row, weights: float) -> Row:
    facts = {**row.facts, "weights": weights, "above": row.facts["anonymous"] - weights}
    return Row(row.name, row.documents, row.seconds, row.facts["anonymous"], facts)


def _fit(kept: dict[str, Any], folder: Path) -> Any:
    place = RunFolder.create(folder / "run", resume=False, overwrite=False)
    return kept["strategy"].fit(kept["corpus"], place, reporter=Silent())


def main() -> None:
    """Generate, then measure in a process of its own."""
    parser = arguments(__doc__)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--tokens", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="for the files; given, they are kept and used again")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        about = json.dumps([chosen.documents, chosen.tokens])
        mark = folder / "generated.json"
        if not mark.exists() or mark.read_text() != about:
            generate(folder, chosen.documents, chosen.tokens)
            mark.write_text(about)
        with tempfile.TemporaryDirectory(dir=folder) as work:
            for name in ("train.jsonl", "dev.jsonl", "taxonomy.tsv"):
                (Path(work) / name).symlink_to((folder / name).resolve())
            rows = apart(run, Path(work), chosen.documents, chosen.epochs, chosen.threads)
    report(rows, chosen.json)


if __name__ == "__main__":
    main()
