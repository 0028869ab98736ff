"""Presets in Python: what ``linnaea init`` writes for files, chosen for documents in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from linnaea.config.config import Config
from linnaea.config.outcome import Aim, DecisionConfig
from linnaea.config.presets import AIMS, PRESETS, CorpusFacts, Preset, preset_config
from linnaea.config.task import TaskConfig
from linnaea.corpus.document import Document
from linnaea.corpus.labels import LabelResolver
from linnaea.errors import ConfigError, suggest
from linnaea.estimator.inputs import SettingsError, Written
from linnaea.reporter import Silent
from linnaea.text.facts import Texts

_CHOSEN = ("training", "model", "objective")


def check_preset(preset: Any, aim: Any, strategy: Any, written: Written) -> None:
    """Refuse what is no preset or aim, a preset beside a strategy or a network, an aim without a preset.

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
    for name in _CHOSEN:
        part = written.content.get(name)
        if part:
            key = f".{min(part)}" if isinstance(part, dict) else ""
            hint = "leave one of the two out, or give single keys in settings"
            raise SettingsError("a preset chooses what is trained", where=f"config {name}{key}", hint=hint)


def outline(value: dict[str, Any]) -> dict[str, Any]:
    """What of the config ``value`` can be checked before a preset has chosen the rest."""
    return {key: part for key, part in value.items() if key in ("task", "data", "run", "plugins")}


def with_preset(
    written: Written,
    value: dict[str, Any],
    preset: str,
    aim: str | None,
    documents: Sequence[Document],
    resolver: LabelResolver,
) -> Config:
    """The config with the strategy and the decision of a preset.

    Args:
        written: parts of the decision in its content stay, its single keys act over what the preset chooses.
        value: the same without the preset, its task as y has settled it.

    Raises:
        ConfigError: something in it does not go with what the preset chooses, or makes the aim do nothing.
    """
    task = TaskConfig.read(value["task"], "task")
    if aim is not None and task.type == "multiclass":
        problem = "does nothing in a multiclass task: each document gets its best category"
        raise SettingsError(problem, where="aim", hint="leave it out, or give lists of labels")
    facts = _facts(documents, resolver)
    parts = preset_config(facts, cast(Preset, preset), cast(Aim, aim or "both"), task.type).parts
    decision, said = parts.get("decision", {}), written.content.get("decision", {})
    if "decoding" in decision:
        chosen = _that_acts(decision.pop("decoding"), task, value.get("decision"))
        decision |= {} if chosen is None else {"decoding": chosen}
    decision = {**decision, **said} if isinstance(said, dict) else said
    whole = {**written.value({"training": parts["training"], "decision": decision}), "task": value["task"]}
    if aim is not None and isinstance(whole["decision"], dict):
        threshold = whole["decision"].get("threshold")
        if not isinstance(threshold, dict) or threshold.get("aim") != aim:
            problem = "does nothing beside a decision.threshold that is given, too"
            raise SettingsError(problem, where="aim", hint="leave one of the two out")
    try:
        return Config.build(whole, written.folder)
    except ConfigError as error:
        raise _told(error, preset, {**parts, "decision": decision}) from None


def _told(error: ConfigError, preset: str, parts: dict[str, Any]) -> ConfigError:
    """``error``, which tells whose key is unknown, if it lies in what the preset chose."""
    for section, key in (("training", "strategy"), ("decision", "threshold")):
        chosen = parts[section].get(key) if isinstance(parts[section], dict) else None
        within = (error.where or "").startswith(f"{section}.{key}.")
        if within and error.message == "unknown key" and isinstance(chosen, dict):
            problem = f"unknown key: the preset {preset!r} chose the {key} {chosen.get('type')!r} here"
            return ConfigError(problem, where=error.where, hint=error.hint)
    return error


def _facts(documents: Sequence[Document], resolver: LabelResolver) -> CorpusFacts:
    texts, taxonomy = Texts(Silent()), resolver.taxonomy
    single, inner = True, 0
    for document in documents:
        texts.add(document)
        columns = {resolver.find(label) for label in document.labels or ()}
        above = {int(a) for c in columns for a in taxonomy.ancestors[c] if a != c}
        most_specific = columns - above
        single &= len(most_specific) == 1
        inner += any(not taxonomy.leaves_C[c] for c in most_specific)
    return texts.facts(
        documents=len(documents), categories=len(taxonomy), levels=taxonomy.depth, single=single, inner=inner,
    )  # fmt: skip


def _that_acts(decoding: Any, task: TaskConfig, said: Any) -> Any:
    """The decoding that a preset chose, or else ``best``, if it goes with the closure and the cap; None: neither does."""
    many = task.paths == "many"
    top_k = said.get("top_k") if many and isinstance(said, dict) else None
    for choice in (decoding, "best") if many else (decoding,):
        try:
            DecisionConfig.read({"decoding": choice}).decoding.check(task.gold_closure, top_k)
        except ConfigError:
            continue
        return choice
    return None
