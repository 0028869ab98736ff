"""Former: the model that is to grow, with what is known of its training, and what is asked for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from linnaea.config.config import Config
from linnaea.errors import ConfigError, UsageError
from linnaea.files import STDIN, read_object, sha256
from linnaea.model.folder import find, load
from linnaea.model.model import Model
from linnaea.run_folder import RunFolder
from linnaea.shapes import TEXT, check
from linnaea.strategies.classweights import TABLE, with_weights
from linnaea.taxonomy.change import Change
from linnaea.text.grown import NAMES, Generation, read_record

"""What a run that grew tells of its growth."""

Files = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Wish:
    """What is asked for.

    Attributes:
        taxonomy: the new one's file.
        data: new documents by split, labelled under the new taxonomy.
        former: the documents of the old training by split, in place of those that its run folder names.
        renames: ``OLD=NEW`` each.
        descendants: what lies below a category that is fitted again is fitted again too.
        train_all: of a network for all categories all weights train.
        out: the new run folder; None: beside the old one.
    """

    taxonomy: Path
    data: Files = field(default_factory=dict)
    former: Files = field(default_factory=dict)
    renames: Sequence[str] = ()
    taxonomy_format: str = "auto"
    descendants: bool = False
    train_all: bool = False
    out: Path | None = None


@dataclass(frozen=True, eq=False)
class Former:
    """The model that is to grow, and how it was trained.

    Attributes:
        digest: of its ``model.json``, which has those of all its files.
        generations: the documents that it was trained on.
        categories: of one network a category, facts by id, as far as they are known.
    """

    path: Path
    model: Model
    digest: str
    config: Config
    generations: list[Generation]
    categories: dict[str, dict[str, Any]]


def open_former(path: Path, wish: Wish, plugins: Sequence[str]) -> Former:
    """The old model; of a run folder also its config, its record and the facts of its categories."""
    folder = find(path)
    model = load(path, plugins, device="cpu")
    config, generations, categories = model.config, None, {}
    if folder != path and (path / "config.json").is_file():
        # A plug-in is code: it runs where it is asked for, not because a folder names it.
        run = RunFolder(path)
        try:
            config = Config.build({**read_object(run.config), "plugins": list(plugins)})
        except ConfigError as error:
            raise error.at(f"{run.config}: {error.where}" if error.where else str(run.config)) from None
        if run.growth.is_file():
            items = read_record(run)["generations"]
            generations = [Generation.from_json(one, str(run.growth)) for one in items]
        if (path / TABLE).is_file():
            categories = _facts(path / TABLE)
    if generations is None or wish.former.get("train"):
        files = {
            name: tuple(map(_absolute, wish.former.get(name) or ())) or tuple(config.data.files(name))  # type: ignore[arg-type]
            for name in NAMES
        }
        generations = [Generation(model.taxonomy, files, {})]
    if not generations[0].files["train"]:
        problem = "the documents that it was trained on are not known, and what is new is told from them"
        raise UsageError(problem, where=str(path), hint="give them: --train FILE, or name the run folder")
    return Former(path, model, sha256(folder / "model.json"), config, generations, categories)


def _facts(path: Path) -> dict[str, dict[str, Any]]:
    """What a run of one network a category tells of each."""
    rows = check(read_object(path), {"categories": [{"id": TEXT}]}, str(path))["categories"]
    return {row["id"]: {k: v for k, v in row.items() if k not in ("network", "instead")} for row in rows}


def new_files(old: Former, wish: Wish) -> dict[str, tuple[str, ...]]:
    """The new documents' files, absolute, by split."""
    first = old.generations[0].files
    if wish.data.get("dev") and not first["dev"]:
        problem = "dev is a part of train here, and a part of --data joins it"
        raise UsageError(problem, where="--dev-data", hint="put these documents into --data")
    files = {name: tuple(map(_absolute, wish.data.get(name, ()))) for name in NAMES}
    for name, paths in files.items():
        known = [file for generation in old.generations for file in generation.files[name]]
        for number, file in enumerate(paths):
            if file in known or file in paths[:number]:
                raise UsageError(f"is among the documents of {name} already", where=file)
    return files


def _absolute(file: str) -> str:
    if file == STDIN:
        raise UsageError(
            "documents from standard input could not be read again when the model grows on",
            hint="write them to a file",
        )
    return str(Path(file).expanduser().resolve())


def grown_config(
    old: Former, wish: Wish, change: Change, generations: Sequence[Generation], device: str | None
) -> Config:
    """The old run's config for the new run."""
    value = with_weights(old.config, old.path)[0].dump()
    value["task"] |= {"taxonomy": _absolute(str(wish.taxonomy)), "taxonomy_format": wish.taxonomy_format}
    for name in NAMES:
        files = [file for generation in generations for file in generation.files[name]]
        # Dev that was split off train is split off again.
        if name != "dev" or generations[0].files["dev"]:
            value["data"][name] = files or None
    if generations[0].files["dev"]:
        value["data"].pop("dev_fraction", None)
    weights = value.get("objective", {}).get("class_weights")
    if isinstance(weights, dict):
        gone = {change.old.ids[column] for column in change.removed}
        weights = {change.renames.get(id, id): w for id, w in weights.items() if id not in gone}
        value["objective"]["class_weights"] = weights or None
    value.setdefault("run", {})["dir"] = str(wish.out or _beside(old.path))
    if old.config.training.strategy.network:
        value["run"]["devices"] = 1
        if device is not None:
            value["run"]["device"] = device
    return Config.build(value)


def _beside(path: Path) -> Path:
    path = path.resolve()
    return path.with_name(f"{path.name}-grown")
