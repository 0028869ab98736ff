"""One network a category against one network for all: the counterpart of the HTrans paper's Tables 1 and 2 and Figure 2.

Rows: networks from scratch and from the parent's (per_category), and one joint network of the same encoder, each at .5 and
with thresholds found on dev, beside the linear strategy. Every row is a mean over seeds; differences between ``parent`` and
``scratch`` have intervals from a paired bootstrap over the test documents (10,000 draws, seeds together).

    scripts/bench htrans --corpora rcv1-sample reuters21578 --seeds 3 1 --picture docs/images/htrans-levels.svg

Runs are kept in ``--out``; called again, it does what is missing. ``--search weights`` trains once a class weight, as the
paper does, in place of once with an exact threshold.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quality import cell
from linnaea.commands.train import train
from linnaea.config.config import Config
from linnaea.corpus.policy import ErrorPolicy
from linnaea.model.folder import load
from linnaea.taxonomy.taxonomy import Taxonomy
from linnaea.text.build import build_corpus

DRAWS = 10_000
ENCODER = {"type": "gru_attention", "hidden": 96, "dropout": 0.4}
VARIANTS: dict[str, dict[str, Any]] = {
    "scratch": {"type": "per_category", "start_from": "scratch"},
    "parent": {"type": "per_category", "start_from": "parent"},
    "parent, nothing frozen": {
        "type": "per_category",
        "start_from": "parent",
        "freeze_embedding_below_level": None,
    },
    "joint": {"type": "joint"},
    "linear": {"type": "linear"},
}
RULES = {".5": {"type": "fixed"}, "found": None}


def config_for(
    variant: str, corpus: Path, folder: Path, seed: int, search: str, chosen: Any
) -> dict[str, Any]:
    """The config of one training."""
    value: dict[str, Any] = {
        "task": {"type": "hierarchical", "taxonomy": str(corpus / "taxonomy.tsv")},
        "data": {split: str(corpus / f"{split}.jsonl") for split in ("train", "dev", "test")},
        "training": {"strategy": dict(VARIANTS[variant])},
        "run": {"dir": str(folder), "seed": seed, "device": "cpu"},
    }
    if variant == "linear":
        return value | {"decision": {"threshold": {"type": "per_category", "aim": "macro_f1"}}}
    rate = chosen.rate
    value["input"] = {"max_tokens": 100}
    value["model"] = {"embedder": {"dimension": 64}, "encoder": ENCODER, "head": {"dropout": 0.0}}
    value["training"] |= {
        "epochs": chosen.epochs, "batch_size": chosen.batch,
        "optimizer": {"type": "adam", "learning_rate": rate}, "early_stopping": {"patience": 3},
    }  # fmt: skip
    value["run"]["threads"] = 1
    if variant == "joint":
        value["training"]["early_stopping"] = {"metric": "weighted_f1", "patience": 5}
        value["training"]["epochs"] = 4 * chosen.epochs
        value["decision"] = {"threshold": {"type": "per_category", "aim": "macro_f1", "shrinkage": 0}}
        return value
    strategy = value["training"]["strategy"] | {"search": search, "workers": chosen.workers}
    if search == "threshold":
        strategy["negatives_per_positive"] = 5
    if variant.startswith("parent"):
        strategy["transferred_learning_rate"] = rate / 2
    value["training"]["strategy"] = strategy
    return value


def run_one(value: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Train if it was not, and count on test under both rules: hits, chosen and gold of each document and category."""
    began = time.perf_counter()
    done = (folder / "metrics.json").exists()
    begun = (folder / "config.json").exists()
    result = train(value, resume=begun)
    if not done:
        print(f"{folder.name}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    model = load(folder)
    rows = [json.loads(line) for line in (folder / "predictions.jsonl").open(encoding="utf-8")]
    place = model.taxonomy.index
    gold_NC = _sets([row["gold"] for row in rows], place)
    found_NC = _sets([[one["id"] for one in row["categories"]] for row in rows], place)
    corpus = build_corpus(Config.build_with(value, []), policy=ErrorPolicy("raise"))
    assert corpus.test is not None  # the config names it
    half_NC = np.zeros_like(gold_NC)
    for row, answer in enumerate(model.answer(corpus.test, model.decider_with(None, 0.5))):
        half_NC[row, [place[one.id] for one in answer.categories]] = True
    return {
        "seconds": model.facts["seconds"],
        "category_seconds": model.facts.get("category_seconds"),
        "taxonomy": model.taxonomy,
        "gold": gold_NC,
        "rules": {".5": half_NC, "found": found_NC},
        "result": result.metrics,
    }


def _sets(lists: list[list[str]], place: dict[str, int]) -> np.ndarray:
    matrix = np.zeros((len(lists), len(place)), dtype=bool)
    for i, ids in enumerate(lists):
        matrix[i, [place[id] for id in ids]] = True
    return matrix


def f1_C(chosen: np.ndarray, gold: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """F1 of each category; ``weights`` ``[draws, N]`` count documents several times: ``[draws, C]``."""
    parts = [(chosen & gold), chosen, gold]
    counts = [p.sum(0) if weights is None else weights @ p.astype(np.float32) for p in parts]
    sizes = counts[1] + counts[2]
    return np.asarray(np.divide(2 * counts[0], sizes, out=np.zeros_like(sizes, dtype=float), where=sizes > 0))


def micro(chosen: np.ndarray, gold: np.ndarray) -> float:
    return float(2 * (chosen & gold).sum() / max(1, chosen.sum() + gold.sum()))


def averages(chosen: np.ndarray, gold: np.ndarray) -> float:
    """F1 of macro-precision and macro-recall."""
    hits = (chosen & gold).sum(0)
    precision = (hits / np.maximum(chosen.sum(0), 1)).mean()
    recall = (hits / np.maximum(gold.sum(0), 1)).mean()
    return float(2 * precision * recall / max(precision + recall, 1e-12))


def levels(taxonomy: Taxonomy) -> dict[str, np.ndarray]:
    """Columns of each level, and of levels 2 and 3 together (the paper's Figure 2)."""
    found = {str(n): np.flatnonzero(taxonomy.level_C == n) for n in range(1, taxonomy.depth + 1)}
    return found | {"2 and 3": np.flatnonzero(np.isin(taxonomy.level_C, [2, 3]))}


def difference(
    a: list[Any], b: list[Any], rule: str, columns: np.ndarray, seed: int = 0
) -> tuple[float, float, float]:
    """Macro-F1 of ``a`` less that of ``b`` over ``columns``, mean over seeds, with a 95 % interval."""
    gold = a[0]["gold"]
    weights = np.random.default_rng(seed).multinomial(len(gold), np.full(len(gold), 1 / len(gold)), DRAWS)
    weights = weights.astype(np.float32)

    def of(runs: list[Any], w: np.ndarray | None) -> np.ndarray:
        return np.mean([f1_C(r["rules"][rule], gold, w)[..., columns].mean(-1) for r in runs], axis=0)

    value = float(of(a, None) - of(b, None))
    drawn = of(a, weights) - of(b, weights)
    # Categories without a document in a draw count 0: all draws lie beside the value, and are moved to it.
    low, high = np.quantile(drawn - drawn.mean() + value, [0.025, 0.975])
    return value, float(low), float(high)


def picture(path: Path, title: str, runs: dict[str, list[Any]]) -> None:
    """Macro-F1 by level, a bar a variant; the upper part at .5, the lower with thresholds found on dev."""
    import matplotlib.pyplot as plt

    columns = levels(next(iter(runs.values()))[0]["taxonomy"])
    figure, axes = plt.subplots(len(RULES), figsize=(7, 5.4), sharex=True, layout="constrained")
    names = list(runs)
    for axis, rule in zip(axes, RULES, strict=True):
        for i, name in enumerate(names):
            gold = runs[name][0]["gold"]
            each = np.array(
                [[f1_C(r["rules"][rule], gold)[c].mean() for c in columns.values()] for r in runs[name]]
            )
            places = np.arange(len(columns)) + (i - (len(names) - 1) / 2) * 0.8 / len(names)
            axis.bar(
                places,
                each.mean(0),
                0.75 / len(names),
                yerr=each.std(0, ddof=min(1, len(each) - 1)),
                label=name,
                capsize=2,
            )
        axis.set_ylabel(f"macro-F1, thresholds {rule}")
        axis.set_ylim(bottom=0)
    axes[0].set_title(title)
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(names), fontsize=8
    )
    ticks = [f"level{'s' * (' ' in name)} {name}" for name in columns]
    axes[-1].set_xticks(np.arange(len(columns)), ticks)
    figure.savefig(path)


def runs_of(corpus: str, seeds: int, chosen: argparse.Namespace) -> dict[str, list[Any]]:
    """By variant, a run a seed; of linear one, as there is no chance in it."""
    runs: dict[str, list[Any]] = {}
    for seed in range(1, seeds + 1):
        for variant in chosen.variants:
            if variant == "linear" and seed > 1:
                continue
            name = variant.replace(", ", "-").replace(" ", "-")
            folder = chosen.out / f"{corpus}-{name}-{chosen.search}-{seed}"
            value = config_for(variant, chosen.data / corpus, folder, seed, chosen.search, chosen)
            runs.setdefault(variant, []).append(run_one(value, folder))
    return runs


def rows(corpus: str, runs: dict[str, list[Any]]) -> list[str]:
    """A line a variant and rule."""
    found = []
    for variant, made in runs.items():
        gold, columns = made[0]["gold"], levels(made[0]["taxonomy"])
        for rule in RULES:
            sets = [run["rules"][rule] for run in made]
            cells = [
                cell([micro(s, gold) for s in sets]),
                cell([float(f1_C(s, gold).mean()) for s in sets]),
                cell([averages(s, gold) for s in sets]),
                cell([float(f1_C(s, gold)[columns["2 and 3"]].mean()) for s in sets]),
            ]
            seconds = np.mean([run["seconds"] for run in made])
            found.append(f"| {corpus} | {variant} | {rule} | {' | '.join(cells)} | {seconds:.0f} |")
    return found


def differences(corpus: str, runs: dict[str, list[Any]]) -> list[str]:
    """What inheriting brings, a line a level."""
    found = []
    for variant in runs if "scratch" in runs else ():
        if not variant.startswith("parent"):
            continue
        for rule in RULES:
            for level, columns in levels(runs[variant][0]["taxonomy"]).items():
                value, low, high = difference(runs[variant], runs["scratch"], rule, columns)
                start = f"| {corpus} | {variant} | {rule} | {level} | {len(columns)} "
                found.append(f"{start}| {value:+.3f} | {low:+.3f} to {high:+.3f} |")
    return found


def parser() -> argparse.ArgumentParser:
    """The options."""
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--data", type=Path, default=Path("../shared/data"))
    found.add_argument("--out", type=Path, default=Path("runs/htrans-table"))
    found.add_argument("--corpora", nargs="+", default=["rcv1-sample"])
    found.add_argument("--seeds", nargs="+", type=int, default=[3], help="how many, for each corpus")
    found.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    found.add_argument("--search", choices=["threshold", "weights"], default="threshold")
    found.add_argument("--epochs", type=int, default=15)
    found.add_argument("--batch", type=int, default=32)
    found.add_argument("--rate", type=float, default=0.004)
    found.add_argument("--workers", type=int, default=2)
    found.add_argument("--picture", type=Path, help="an SVG file, of the first corpus")
    return found


def main() -> None:
    """Make the runs that are missing, and print the tables."""
    chosen = parser().parse_args()
    print(
        "| corpus | network | thresholds | micro-F1 | macro-F1 | macro, F1 of averages | levels 2 and 3, macro-F1 | s |"
    )
    print("|---|---|---|---|---|---|---|---:|")
    notes = []
    for number, corpus in enumerate(chosen.corpora):
        runs = runs_of(corpus, chosen.seeds[min(number, len(chosen.seeds) - 1)], chosen)
        print("\n".join(rows(corpus, runs)), flush=True)
        notes += differences(corpus, runs)
        if chosen.picture and number == 0:
            picture(chosen.picture, corpus, runs)
    if notes:
        print("\n| corpus | network | thresholds | level | categories | less scratch, macro-F1 | 95 % |")
        print("|---|---|---|---|---:|---:|---|")
        print("\n".join(notes))


if __name__ == "__main__":
    main()
