"""The model folder: safetensors and JSON, no pickle; written whole or not at all, checked byte for byte when read.

``model.json`` names the format, the scorer, the config of the parts that act after training, plug-ins, facts, and the
SHA-256 of every other file; ``taxonomy.json`` the categories in column order; ``input/`` the vocabularies (or the
tokenizer of a pretrained transformer); ``weights.safetensors`` the parameters; ``transformer.json`` the shape of such a
transformer; ``decision.json`` thresholds and decoding; ``support.json`` how many documents of
train each category had; ``README.md`` a card for people.
Nothing in it is executed on loading, and it needs no training data.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from linnaea import __version__
from linnaea.config.config import Config, load_plugin
from linnaea.config.ensemble import member_configs
from linnaea.decision.decider import Decider
from linnaea.errors import ConfigError, ModelError
from linnaea.files import atomic_folder, read_json, sha256, write_json
from linnaea.model.card import card
from linnaea.model.model import Model
from linnaea.strategies.build import load_scorer
from linnaea.taxonomy.taxonomy import Taxonomy
from linnaea.text.featurizer import Featurizer

FORMAT = 1
_KEPT = ("task", "input", "model", "objective", "training", "decision", "evaluation", "plugins")


def save(model: Model, path: Path | str) -> None:
    """Write ``model`` to the folder ``path``, replacing an older model there only when the new one is whole.

    Raises:
        RunError: the place cannot be written or the disk is full; the old content stays.
    """
    with atomic_folder(path) as folder:
        write_json(folder / "taxonomy.json", model.taxonomy.to_json())
        model.featurizer.save(folder / "input")
        model.scorer.save(folder)
        write_json(folder / "decision.json", model.decider.to_json())
        if model.support_C is not None:
            write_json(
                folder / "support.json", dict(zip(model.taxonomy.ids, model.support_C.tolist(), strict=True))
            )
        (folder / "README.md").write_text(card(model), encoding="utf-8")
        files = sorted(p for p in folder.rglob("*") if p.is_file())
        about: dict[str, Any] = {
            "format": FORMAT,
            "linnaea": __version__,
            "scorer": model.scorer.kind,
            "config": portable(model.config),
            "facts": model.facts,
            "files": {p.relative_to(folder).as_posix(): sha256(p) for p in files},
        }
        write_json(folder / "model.json", {**about, "digest": _digest(about)})


def portable(config: Config) -> dict[str, Any]:
    """The parts of a config that act after training, without paths of the machine it was trained on."""
    value = {key: item for key, item in config.dump().items() if key in _KEPT}
    value["task"].pop("taxonomy", None)
    value["task"].pop("taxonomy_format", None)
    members = value["training"].get("strategy", {}).get("members", [])
    for own, part in [
        (config, value),
        *zip(member_configs(config, once=True) if members else [], members, strict=True),
    ]:
        _without_paths(own, part)
    if "plugins" in value:
        value["plugins"] = [Path(name).name if name.endswith(".py") else name for name in value["plugins"]]
    # How documents are read (field names) acts in predict and evaluate too.
    value["data"] = {
        key: item for key, item in config.dump()["data"].items() if key in ("fields", "label_delimiter")
    }
    return value


def _without_paths(config: Config, value: dict[str, Any]) -> None:
    """Take out of the dumped parts ``value`` of ``config`` what only its training looked at."""
    if value.get("model"):
        for key in config.model.embedder.vector_files:
            value["model"].get("embedder", {}).pop(key, None)
    for part in (value.get("model", {}).get("encoder", {}), value["input"].get("tokenizer", {})):
        if part.get("type") == "pretrained":
            path = Path(part["path"])  # kept to tell what it was; a name on the hub as it is
            part["path"] = path.name if path.is_absolute() else part["path"]
    # It acts in training alone, and asks for the taxonomy that was just left out.
    value.get("objective", {}).pop("recursive_penalty", None)


def find(path: Path | str) -> Path:
    """The model folder for ``path``, which may be a run folder.

    Raises:
        ModelError: there is none.
    """
    path = Path(path)
    for folder in (path, path / "model"):
        if (folder / "model.json").is_file():
            return folder
    if not path.exists():
        raise ModelError("no such model folder", where=str(path))
    if (path / "config.json").is_file():
        hint = "this run has not finished: give `linnaea train` the config again with --resume"
        raise ModelError("this run folder holds no model yet", where=str(path), hint=hint)
    raise ModelError("is neither a run folder nor a model folder (no model.json)", where=str(path))


def verify(path: Path | str) -> dict[str, Any]:
    """The content of ``model.json`` once every file of the model folder ``path`` is as it was written.

    Raises:
        ModelError: missing, truncated, altered or of a newer format.
    """
    about = _about(Path(path))
    _check_files(Path(path), about["files"])
    return about


def load(path: Path | str, plugins: Sequence[str] = (), device: str = "auto") -> Model:
    """Load a model from a run folder or its ``model/`` folder.

    Args:
        plugins: modules to import first. A folder names the plug-ins it needs, but never imports them by itself.
        device: auto, cpu, cuda or mps.

    Raises:
        ModelError: missing, truncated, altered, of a newer format, or in need of plug-ins that were not given.
    """
    folder = find(path)
    about = _about(folder)
    for name in plugins:
        load_plugin(name)
    _check_files(folder, about["files"])
    try:
        value = {**about["config"], "plugins": []}
        config = Config.build(value)
    except ConfigError as error:
        needed = about["config"].get("plugins", [])
        if needed:
            call = ", ".join(repr(name) for name in needed)
            raise ModelError(
                f"needs its plug-ins: {error.message}",
                where=str(folder),
                hint=f"load(path, plugins=[{call}]) or --plugin",
            ) from None
        raise ModelError(f"its config does not hold: {error}", where=str(folder / "model.json")) from None
    taxonomy = _read(folder / "taxonomy.json", Taxonomy.from_json)
    featurizer = Featurizer.load(folder / "input", config.input)
    decision = folder / "decision.json"
    decider = _read(decision, lambda value: Decider.from_json(value, taxonomy, str(decision)))
    scorer = load_scorer(about["scorer"], folder, config, taxonomy, featurizer, device=device)
    support_C = None
    if "support.json" in about["files"]:
        support_C = _read(
            folder / "support.json", lambda value: np.array([value[name] for name in taxonomy.ids])
        )
    return Model(taxonomy, featurizer, scorer, decider, config, about["facts"], support_C)


def _read(path: Path, build: Any) -> Any:
    value = read_json(path, ModelError)
    try:
        return build(value)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise ModelError(
            f"does not hold what it should: {type(error).__name__}: {error}", where=str(path)
        ) from None


def _digest(about: dict[str, Any]) -> str:
    text = json.dumps(about, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _about(folder: Path) -> dict[str, Any]:
    path = folder / "model.json"
    about = read_json(path, ModelError)
    if not isinstance(about, dict) or not isinstance(about.get("format"), int):
        raise ModelError("is not a Linnaea model: no format number", where=str(path))
    if about["format"] > FORMAT:
        made = about.get("linnaea", "a newer version")
        hint = "pip install --upgrade linnaea"
        raise ModelError(
            f"has format {about['format']} (Linnaea {made}); this one reads {FORMAT}",
            where=str(path),
            hint=hint,
        )
    told = about.pop("digest", None)
    if told != _digest(about):
        raise ModelError("was altered: its digest does not fit", where=str(path))
    return about


def _check_files(folder: Path, files: dict[str, str]) -> None:
    for name, expected in files.items():
        path = folder / name
        if not path.is_file():
            raise ModelError("this file of the model is missing", where=str(path))
        if sha256(path) != expected:
            if name == "README.md":
                continue  # a card that somebody added to harms nothing
            raise ModelError("was truncated or altered: its SHA-256 does not fit model.json", where=str(path))
