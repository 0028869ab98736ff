"""NeuralClassifier's configs: recognised by their top-level keys, and turned into the native config they mean.

Every key of the old file gets a row that says what became of it; keys that never did anything, or that nobody
knows, a warning. What the old program did and this one does not is told in ``docs/migration.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from linnaea.config.neuralclassifier_heads import head
from linnaea.config.neuralclassifier_models import SECTIONS, embedder, encoder, model_name, used_sections
from linnaea.config.neuralclassifier_parts import (
    features,
    input_part,
    objective,
    outcome,
    run,
    training,
)
from linnaea.config.neuralclassifier_reading import Old, Places, Row, names_all_labels
from linnaea.config.part import shown
from linnaea.errors import ConfigError

_PARTS = ("task_info", "data", "feature", "train", "embedding", "optimizer", "eval", "log")
_SIGNS = {*_PARTS, *SECTIONS, "model_name", "checkpoint_dir", "model_dir", "device"} - {"data"}
_NATIVE = ("task", "input", "model", "objective", "training", "decision", "evaluation", "run", "plugins")


@dataclass(frozen=True)
class Conversion:
    """An old config as a native one.

    Attributes:
        config: the native config, its paths absolute.
        rows: what became of each key of the old file.
        warnings: keys that never did anything or do nothing here, and behaviour that is not kept.
    """

    config: dict[str, Any]
    rows: tuple[Row, ...]
    warnings: tuple[str, ...]

    def table(self) -> str:
        """The rows as aligned text."""
        cells = [("NeuralClassifier", "value", "Linnaea")]
        for row in self.rows:
            note = f"({row.note})" if row.note else ""
            cells.append(
                (row.key, "" if row.value == "{...}" else shown(row.value), f"{row.became} {note}".strip())
            )
        widths = [max(len(cell[i]) for cell in cells) for i in range(2)]
        return "\n".join(f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c}".rstrip() for a, b, c in cells)

    def translated(self, error: ConfigError) -> ConfigError:
        """``error`` of the native config, which also names the old key that its place came from."""
        where = error.where or ""
        sources = [row.key for row in self.rows if where and row.became.partition(" =")[0] == where]
        place = f"{sources[0]}, here {where}" if sources else where or None
        return ConfigError(error.message, where=place, hint=error.hint)


def is_old(value: Mapping[str, Any]) -> bool:
    """Whether this is a config of NeuralClassifier, by its top-level keys."""
    if any(key in value for key in _NATIVE):
        return False
    signs = _SIGNS & set(value)
    return bool({"task_info", "model_name"} & signs) or len(signs) >= 2


def convert(value: Mapping[str, Any], folder: Path | None = None) -> Conversion:
    """The native config that an old one means.

    Args:
        folder: of the config file. A path of the old file is taken from there if the file is there, else from the
            current folder, which is what it was relative to.

    Raises:
        ConfigError: an unknown model, loss, optimiser... or a value of the wrong type, with the old key.
    """
    old, places = Old(value), Places(folder, Path.cwd())
    name = model_name(old)
    single = old.choose("task_info.label_type", {"single_label": True, "multi_label": False}, "multi_label")
    config: dict[str, Any] = {"task": {}, "data": _data(old, places)}
    config["task"] = task = _task(old, places, name, single, config["data"])
    read = features(old, name)
    config["input"] = input_part(old, read)
    config["model"] = {
        "embedder": embedder(old, name, places, read),
        "encoder": encoder(old, name),
        "head": head(old, name, task.get("taxonomy")),
    }
    config["objective"] = objective(old, task)
    config["training"] = training(old, task)
    config |= outcome(old, task)
    config["run"] = run(old, places)
    _leftovers(old, name)
    return Conversion(config, tuple(_ordered(old)), tuple(old.warnings))


def _ordered(old: Old) -> list[Row]:
    """The rows in the order of the file."""
    place: dict[str, int] = {}
    for key, part in old.value.items():
        place[key] = len(place)
        for name in part if isinstance(part, Mapping) else ():
            place[f"{key}.{name}"] = len(place)
    return sorted(old.rows, key=lambda row: place.get(row.key, -1))


def _task(old: Old, places: Places, name: str, single: bool, data: dict[str, Any]) -> dict[str, Any]:
    written = old.get("task_info.hierarchical", False)
    hierarchical = written or name == "HMCN"
    kind = "hierarchical" if hierarchical else "multiclass" if single else "multilabel"
    task: dict[str, Any] = {"type": kind}
    became = f"task.type = {kind}"
    if hierarchical:
        # What is written is what was learnt and counted there, each label by itself.
        task["closure"] = "none"
        if single:
            task["paths"] = "one"
            became += ", task.paths = one"
    old.became("task_info.label_type", became)
    closure = "task.closure = none" if hierarchical else f"task.type = {kind}"
    note = "labels count as they are written" if written else "HMCN follows the taxonomy; true crashed it"
    old.became("task_info.hierarchical", closure, note if hierarchical else "")
    key = "task_info.hierar_taxonomy"
    file = old.get(key, "")
    path, where = places.find(file) if file else ("", "")
    if file and (hierarchical or names_all_labels(path, data["train"])):
        task |= {"taxonomy": path, "taxonomy_format": "children"}
        old.became(key, f"task.taxonomy = {path}", where if hierarchical else "as the list of categories")
    else:
        old.became(key, note="read only where hierarchical is true, and not the list of these labels")
    if not hierarchical and "taxonomy" not in task:
        # Labels that train lacks are unknown: the old program left them out of the dictionary, too.
        data["on_error"] = "skip"
    return task


def _data(old: Old, places: Places) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for split, key in (("train", "train"), ("dev", "validate"), ("test", "test")):
        key = f"data.{key}_json_files"
        found = [places.find(name) for name in old.words(key, [])]
        if found:
            data[split] = [path for path, _ in found]
            notes = ", ".join(dict.fromkeys(where for _, where in found if where))
            old.became(key, f"data.{split} = {', '.join(data[split])}", notes)
        elif split == "train":
            raise ConfigError("names no training documents", where=key)
        else:
            old.became(key, note="none: a tenth of train is set aside" if split == "dev" else "none")
    data["format"] = "jsonl"
    workers = old.take("data.num_worker", 0, "data.workers", "processes that read and cut text")
    if old.has("data.num_worker"):
        data["workers"] = workers
    _dictionary(old)
    return data


def _dictionary(old: Old) -> None:
    """Where the vocabulary comes from: here always from train, and nothing else."""
    key = "data.generate_dict_using_json_files"
    own = old.get(key, True)
    old.became(key, note="the vocabulary is counted on train")
    if not own:
        old.warn(key, "false is not kept: the vocabulary is counted on train")
    key = "data.generate_dict_using_all_json_files"
    leaks = old.get(key, False)
    old.became(key, note="labels of test count in evaluation.metrics" if leaks else "")
    if leaks:
        old.warn(
            key,
            "is not kept: a vocabulary of dev and test leaks what they hold; it is counted on train alone",
        )
    key = "data.generate_dict_using_pretrained_embedding"
    vectors = old.get(key, False)
    old.became(key)
    if vectors:
        old.warn(key, "is not kept: word vectors serve the words of train, others stay unknown")
    old.became("data.generate_hierarchy_label", note="categories are always ordered by level")
    old.became("data.dict_dir", note="the vocabulary lies in the model folder")


def _leftovers(old: Old, name: str) -> None:
    for key in ("log.logger_file", "log.log_level"):
        old.became(key, note="messages go to stderr, each epoch to history.jsonl")
    old.idle("task_info.hierarchical_model", "never did anything, there or here")
    old.unknown((*_PARTS, *SECTIONS), set(SECTIONS) - used_sections(old, name))
