"""Presets in Python: what ``linnaea init`` writes for files, chosen for documents in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from linnaea.config.outcome import Aim
from linnaea.config.presets import AIMS, PRESETS, Preset, preset_config
from linnaea.corpus.document import Document
from linnaea.corpus.labels import LabelResolver
from linnaea.errors import suggest
from linnaea.estimator.inputs import SettingsError
from linnaea.reporter import Silent
from linnaea.text.facts import Texts


def check_preset(preset: Any, aim: Any, strategy: Any) -> None:
    """Refuse what is no preset or aim, a preset beside a strategy, an aim without a preset.

    Raises:
        SettingsError: as told.
    """
    if aim is not None and aim not in AIMS:
        hint = suggest(str(aim), AIMS) or f"known: {', '.join(AIMS)}"
        raise SettingsError(f"there is no aim {aim!r}", where="aim", hint=hint)
    if preset is None:
        if aim is not None:
            hint = 'give a preset, or settings={"decision.threshold": {"type": "per_category", "aim": ...}}'
            raise SettingsError("acts only with a preset", where="aim", hint=hint)
        return
    if preset not in PRESETS:
        hint = suggest(str(preset), PRESETS) or f"known: {', '.join(PRESETS)}"
        raise SettingsError(f"there is no preset {preset!r}", where="preset", hint=hint)
    if strategy is not None:
        raise SettingsError(
            "a preset chooses the strategy", where="strategy", hint="leave one of the two out"
        )


def with_preset(
    value: dict[str, Any],
    preset: str,
    aim: str | None,
    documents: Sequence[Document],
    resolver: LabelResolver,
) -> dict[str, Any]:
    """The config ``value`` with the strategy and the decision of a preset; parts of the decision that stand there stay.

    Raises:
        SettingsError: ``value`` chooses how to train already.
    """
    chosen_by_hand = {key: part for key, part in value.get("training", {}).items() if key != "strategy"}
    if chosen_by_hand or value.get("model") or value.get("objective"):
        where = f"settings training.{min(chosen_by_hand)}" if chosen_by_hand else "settings model"
        raise SettingsError("a preset chooses what is trained", where=where, hint="leave one of the two out")
    texts, taxonomy = Texts(Silent()), resolver.taxonomy
    single, inner = True, 0
    for document in documents:
        texts.add(document)
        columns = {resolver.find(label) for label in document.labels or ()}
        above = {int(a) for c in columns for a in taxonomy.ancestors[c] if a != c}
        most_specific = columns - above
        single &= len(most_specific) == 1
        inner += any(not taxonomy.leaves_C[c] for c in most_specific)
    facts = texts.facts(
        documents=len(documents), categories=len(taxonomy), levels=taxonomy.depth, single=single, inner=inner,
    )  # fmt: skip
    parts = preset_config(facts, cast(Preset, preset), cast(Aim, aim or "both")).parts
    decision = {**parts.get("decision", {}), **value.get("decision", {})}
    return {**value, "training": parts["training"], **({"decision": decision} if decision else {})}
