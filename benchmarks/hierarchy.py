"""Heads and objectives that know the taxonomy, beside the plain head and the linear strategy; raw and coherent.

Every row has the same encoder and the same budget: vectors of 64, 256 tokens, batches of 32, Adam at .005, dropout .3 in the
head, at most ``--epochs`` epochs with early stopping on dev micro-F1 at .5 (found on dev of germeval2019 and rcv1-sample, under
textrnn, for the row ``plain``); only the part named in it is another. textrnn pools the mean of its states: heads that read
the states leave no weights of it idle. A network is trained once a seed and its scores are kept; thresholds (.5, or one a
category, found on dev for the mean of micro- and macro-F1) and decodings are laid over them when the tables are printed.
"contradictory" is the share of documents with a category without its parent; "less plain" the difference to the row ``plain``,
with a 95 % interval of a paired bootstrap over the test documents (seeds together).

A corpus whose name ends in "-bow" is a bag of words. There the encoder is a transformer without positions and, in rows of their
own, fasttext; the figure is AU(PRC) as C-HMCNN(h) counts it: average precision over all pairs of document and category. As was
done there, the last network is trained on train and dev together, here for as many epochs as was best out of fold.

    scripts/bench hierarchy --corpora enron-bow rcv1-sample --seeds 1 2 3
    scripts/bench hierarchy --only-print --picture docs/images/hierarchy.svg      what is there so far

Scores are kept in ``--out``, a file a run; called again, it does what is missing.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import Any

from benchmarks.hierarchy_runs import THRESHOLDS, Run
from benchmarks.hierarchy_tables import PLAIN, Corpus, picture, summary, tables
from linnaea.config.config import Config
from linnaea.taxonomy.readers import read_taxonomy

CORPORA = ("enron-bow", "germeval2019", "rcv1-sample", "valueeval", "reuters21578")
ENCODERS: dict[str, dict[str, Any]] = {
    "textrnn": {"type": "textrnn", "pooling": "mean"},
    "textrcnn": {"type": "textrcnn"},
}
RECURSIVE = {"objective": {"recursive_penalty": {"C": 0.42}}}  # on RCV1 the 1e-6 of NeuralClassifier
LOSSES = ("max_constraint", "asymmetric", "class_balanced", "distribution_balanced", "zlpr", "focal_sigmoid")
HEADS = ("hmcn", "label_attention", "hiagm_tp", "hiagm_la")
READ_STATES = ("label_attention", "hiagm_la")  # nothing is pooled below them
MEAN = {"encoder": {"type": "fasttext"}}
ROWS: dict[str, dict[str, Any]] = {
    "linear": {"strategy": "linear"},
    "plain": {},
    **{head: {"head": {"type": head}} for head in HEADS},
    **{loss: {"objective": {"loss": loss}} for loss in LOSSES},
    "recursive_penalty": RECURSIVE,
    "hr_dgcnn": {"encoder": {"type": "hr_dgcnn"}, **RECURSIVE},
    "fasttext": MEAN,
    "fasttext-hmcn": {"head": {"type": "hmcn"}, **MEAN},
    "fasttext-max_constraint": {"objective": {"loss": "max_constraint"}, **MEAN},
}
BAGS = ("linear", "plain", "hmcn", "max_constraint", "fasttext", "fasttext-hmcn", "fasttext-max_constraint")
SET_ENCODER: dict[str, Any] = {"type": "transformer"}  # without position embeddings it sees no order


def is_bags(corpus: str) -> bool:
    return corpus.endswith("-bow")


def rows_of(corpus: str) -> tuple[str, ...]:
    """The rows that a corpus has."""
    return BAGS if is_bags(corpus) else tuple(row for row in ROWS if not row.startswith("fasttext"))


def config_for(row: str, corpus: Path, folder: Path, seed: int, chosen: argparse.Namespace) -> Config:
    """The config of one training."""
    about, bags = ROWS[row], is_bags(corpus.name)
    threshold = THRESHOLDS["found"] | ({"on": "cross"} if bags else {})
    value: dict[str, Any] = {
        "task": {"type": "hierarchical", "taxonomy": str(corpus / "taxonomy.tsv")},
        "data": {split: str(corpus / f"{split}.jsonl") for split in ("train", "dev", "test")},
        "decision": {"threshold": threshold},
        "run": {"dir": str(folder), "seed": seed, "threads": 1, "device": "cpu"},
    }
    if "strategy" in about:
        strategy = {"training": {"strategy": {"type": about["strategy"]}}}
        return Config.build_with(value | strategy, [])
    encoder = about.get("encoder", SET_ENCODER if bags else ENCODERS[chosen.encoder])
    if about.get("head", {}).get("type") in READ_STATES:
        encoder = {key: value for key, value in encoder.items() if key != "pooling"}
    head = {"dropout": 0.5 if bags else 0.3, **about.get("head", {"type": "linear"})}
    embedder = {"type": "lookup", "dimension": 100 if bags else 64}
    value["model"] = {"embedder": embedder, "encoder": encoder, "head": head}
    value["objective"] = about.get("objective", {})
    value["training"] = {
        "epochs": 2 * chosen.epochs if bags else chosen.epochs,
        "batch_size": 64 if bags else 32,
        "optimizer": {"type": "adam", "learning_rate": 0.002 if bags else 0.005},
        "gradient_clip": 5.0,
        "early_stopping": {"metric": "micro_f1", "patience": 5 if bags else 4},
    }
    if not bags:
        value["input"] = {"max_tokens": 256}
    return Config.build_with(value, [])


def seeds_of(row: str, chosen: argparse.Namespace) -> list[int]:
    """The linear strategy has no chance in it: its one run is that of seed 1."""
    return [1] if "strategy" in ROWS[row] else list(chosen.seeds)


def place_of(corpus: str, row: str, seed: int, chosen: argparse.Namespace) -> Path:
    """Where the scores of a run lie."""
    above = "" if is_bags(corpus) or "strategy" in ROWS[row] else f"{chosen.encoder}-"
    out: Path = chosen.out
    return out / f"{corpus}-{above}{row}-{seed}.npz"


def make(chosen: argparse.Namespace) -> None:
    """The runs that are missing: all corpora with the first seed, then all with the next."""
    chosen.out.mkdir(parents=True, exist_ok=True)
    for seed in chosen.seeds:
        for corpus in chosen.corpora:
            for row in rows_of(corpus):
                place = place_of(corpus, row, seed, chosen)
                if row not in chosen.rows or seed not in seeds_of(row, chosen) or place.exists():
                    continue
                folder = chosen.out / f"run-{place.stem}"
                shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed
                run = Run.of(config_for(row, chosen.data / corpus, folder, seed, chosen), folder)
                run.write(place)
                shutil.rmtree(folder)
                _, figures = run.chosen(
                    config_for(PLAIN, chosen.data / corpus, folder, 1, chosen), ".5", "none"
                )
                print(f"{place.stem}: {figures['micro-F1']:.3f} / {figures['macro-F1']:.3f}, {run.seconds:.0f} s",
                      file=sys.stderr, flush=True)  # fmt: skip


def kept(name: str, chosen: argparse.Namespace) -> Corpus:
    """The runs of a corpus that are there."""
    path, runs = chosen.data / name, {}
    taxonomy = read_taxonomy(path / "taxonomy.tsv")
    for row in rows_of(name):
        if row not in chosen.rows:
            continue
        places = [place_of(name, row, seed, chosen) for seed in seeds_of(row, chosen)]
        made = [Run.read(place, taxonomy) for place in places if place.exists()]
        if made:
            runs[row] = made
    return Corpus(name, runs, config_for(PLAIN, path, chosen.out, 1, chosen))


def parser() -> argparse.ArgumentParser:
    """What may be chosen."""
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--data", type=Path, default=Path("../shared/data"))
    found.add_argument("--out", type=Path, default=Path("runs/hierarchy"))
    found.add_argument("--corpora", nargs="+", default=list(CORPORA))
    found.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3], help="which, not how many")
    found.add_argument("--rows", nargs="+", default=list(ROWS), choices=list(ROWS))
    found.add_argument(
        "--encoder", default="textrcnn", choices=list(ENCODERS), help="below every head and loss"
    )
    found.add_argument("--epochs", type=int, default=30, help="at most; of bags of words twice as many")
    found.add_argument("--picture", type=Path, help="an SVG file: what each row is above or below plain")
    found.add_argument("--only-print", action="store_true", help="train nothing")
    return found


def main() -> None:
    """Make the runs that are missing, and print the tables."""
    chosen = parser().parse_args()
    if not chosen.only_print:
        make(chosen)
    corpora = [kept(name, chosen) for name in chosen.corpora]
    print(summary(corpora), end="\n\n")
    print(tables(corpora, [corpus for corpus in corpora if is_bags(corpus.name)]))
    if chosen.picture:
        picture(chosen.picture, corpora)


if __name__ == "__main__":
    main()
