"""The card of a model: README.md in its folder, for the person who finds it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linnaea import __version__
from linnaea.config.encoders_pretrained import PretrainedConfig

if TYPE_CHECKING:
    from linnaea.model.model import Model


def card(model: Model) -> str:
    """Markdown: what it is, how to use it, what it was trained on, how well it did, its limits."""
    taxonomy = model.taxonomy
    lines = [
        "# A Linnaea model",
        "",
        f"Puts documents in their places in a taxonomy of {len(taxonomy):,} categories on {taxonomy.depth} levels "
        f"({model.config.task.type} task). Made with Linnaea {__version__}.",
        "",
        "```",
        "linnaea predict MODEL_FOLDER documents.txt",
        "```",
        "",
        "```python",
        "import linnaea",
        'model = linnaea.load("MODEL_FOLDER")',
        'for answer in model.predict(["some text"]):',
        "    print(answer.categories)",
        "```",
        "",
        "| | |",
        "|---|---|",
    ]
    lines += [f"| {name} | {value} |" for name, value in _rows(model)]
    never = [taxonomy.ids[c] for c in range(len(taxonomy)) if model.decider.thresholds_C[c] == float("inf")]
    if never:
        shown = ", ".join(never[:20]) + (", ..." if len(never) > 20 else "")
        lines += ["", f"Never predicted, for want of training documents ({len(never)}): {shown}."]
    lines += ["", f"Top categories: {', '.join(taxonomy.names[c] for c in taxonomy.roots[:30])}.", ""]
    return "\n".join(lines)


def _rows(model: Model) -> list[tuple[str, str]]:
    facts = model.facts
    config = model.config
    rows = [("strategy", config.training.strategy.type)]
    if config.training.strategy.network:
        rows.append(("network", config.model.names))
        if isinstance(config.model.encoder, PretrainedConfig):
            rows.append(("pretrained transformer", config.model.encoder.path))
    for number, member in enumerate(facts.get("members", []), start=1):
        rows.append((f"member {number}", f"{member['name']}: share {member['share']:.2f}"))
    if "members" not in facts:  # each reads what its strategy reads
        rows.append(("input", ", ".join(config.input.features)))
    rows.append(("thresholds", config.decision.threshold.type))
    rows.append(("decoding", config.decision.decoding.type))
    if model.decider.calibration is not None:
        rows.append(("calibration", model.decider.calibration.config.type))
    if model.decider.promise is not None:
        decided = int((model.decider.thresholds_C < float("inf")).sum())
        rows.append(("promise", model.decider.promise.told(decided)))
    for key, name in (
        ("train_documents", "documents of train"),
        ("dev_documents", "documents of dev"),
        ("parameters", "parameters"),
        ("best_epoch", "best epoch"),
        ("seed", "seed"),
    ):
        if facts.get(key) is not None:
            value = facts[key]
            rows.append((name, f"{value:,}" if isinstance(value, int) else str(value)))
    for split, scores in facts.get("metrics", {}).items():
        shown = ", ".join(f"{name} {value:.3f}" for name, value in scores.items())
        rows.append((f"on {split}", shown))
    return rows
