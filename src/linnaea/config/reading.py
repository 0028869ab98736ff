"""From a config file to a dictionary: JSON, paths made absolute, ``--set`` settings, plug-ins imported."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from linnaea.config.part import shown
from linnaea.config.registry import Registry, failure
from linnaea.errors import ConfigError, suggest

# Keys that hold paths.
_PATHS: tuple[tuple[str, ...], ...] = (
    ("task", "taxonomy"),
    ("data", "train"),
    ("data", "dev"),
    ("data", "test"),
    ("model", "embedder", "pretrained"),
    ("model", "embedder", "keyword_pretrained"),
    ("model", "encoder", "path"),
    ("input", "tokenizer", "path"),
    ("plugins",),
)
_MEMBERS = ("training", "strategy", "members")


def read_config(path: Path) -> dict[str, Any]:
    """The object in a config file, its paths made absolute from the file's folder.

    Raises:
        ConfigError: missing, not UTF-8, not JSON, not an object, a key twice; with ``file:line`` where known.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_no_repeats)
    except FileNotFoundError:
        folder = path.parent
        near = suggest(path.name, [p.name for p in folder.glob("*.json")]) if folder.is_dir() else None
        raise ConfigError("no such config file", where=str(path), hint=near) from None
    except IsADirectoryError:
        raise ConfigError("is a folder, not a config file", where=str(path)) from None
    except OSError as error:
        raise ConfigError(f"cannot read: {error.strerror}", where=str(path)) from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"not UTF-8 (byte {error.start})", where=str(path)) from None
    except json.JSONDecodeError as error:
        place = f"{path}:{error.lineno}"
        raise ConfigError(f"broken JSON: {error.msg}, column {error.colno}", where=place) from None
    except _Repeated as error:
        raise ConfigError(f"the key {error.args[0]!r} stands twice in one object", where=str(path)) from None
    except RecursionError:
        raise ConfigError("broken JSON: nested too deep", where=str(path)) from None
    except ValueError as error:  # an integer of thousands of digits, a name that no file can have
        raise ConfigError(f"cannot be read: {error}", where=str(path)) from None
    if not isinstance(value, dict):
        raise ConfigError(f"a config is an object, not {shown(value)}", where=str(path))
    value.pop("$schema", None)  # for editors
    anchor(value, path.resolve().parent)
    return value


class _Repeated(Exception):
    pass


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        names = [name for name, _ in pairs]
        raise _Repeated(next(name for i, name in enumerate(names) if name in names[:i]))
    return result


def anchor(value: dict[str, Any], folder: Path, inside: Sequence[str] = ()) -> None:
    """Make the paths in ``value``, the object at the place ``inside``, absolute from ``folder``; in place."""
    depth = len(inside)
    for path in _PATHS:
        if path[:depth] != tuple(inside) or len(path) == depth:
            continue
        part: Any = value
        for step in path[depth:-1]:
            part = part.get(step) if isinstance(part, dict) else None
        if isinstance(part, dict) and path[-1] in part:
            part[path[-1]] = _absolute(part[path[-1]], folder, path)
    for member in _members(value) if not inside else ():
        anchor(member, folder)


def _members(value: dict[str, Any]) -> list[dict[str, Any]]:
    """The parts of a config that the members of an ensemble have of their own."""
    part: Any = value
    for step in _MEMBERS:
        part = part.get(step) if isinstance(part, dict) else None
    return [member for member in part if isinstance(member, dict)] if isinstance(part, list) else []


def _absolute(value: Any, folder: Path, path: tuple[str, ...]) -> Any:
    if isinstance(value, list):
        return [_absolute(item, folder, path) for item in value]
    if path == ("plugins",) and not str(value).endswith(".py"):
        return value  # the name of a module
    if path[-1] == "path" and _on_hub(value, folder):
        return value
    if isinstance(value, Path) or (isinstance(value, str) and value not in ("", "-")):
        try:
            return str((folder / Path(value).expanduser()).resolve())
        except (ValueError, RuntimeError, OSError) as error:
            raise ConfigError(f"{value!r} is no path: {error}", where=".".join(path)) from None
    return value


def _on_hub(value: Any, folder: Path) -> bool:
    """Whether ``owner/model`` (or ``model``) is the name of a pretrained model rather than a folder."""
    if not isinstance(value, str) or not re.fullmatch(r"(\w[\w.-]*/)?\w[\w.-]*", value):
        return False
    return not (folder / value).exists()


def plugin_path(name: str, folder: Path) -> str:
    """A plug-in as it can be found from anywhere: a ``.py`` file by its absolute path, a module by its name."""
    return str(_absolute(name, folder, ("plugins",)))


def apply(value: dict[str, Any], setting: str) -> None:
    """Put one ``a.b=value`` into the config: JSON, else a string; an object replaces.

    A number leads into a list of objects: ``training.strategy.members.0.seeds``, or ``members[0]`` as errors name it.
    Paths in the value are relative to the current folder.

    Raises:
        ConfigError: not KEY=VALUE, or the key leads through something that is no object.
    """
    name, equals, text = setting.partition("=")
    name = dots_alone(name)
    steps = name.split(".")
    if not equals or not all(steps):
        raise ConfigError(f"expected KEY=VALUE, got {setting!r}", where="--set")
    item = _parse(text, name)
    part: Any = value
    for i, step in enumerate(steps[:-1]):
        at = ".".join(steps[: i + 1])
        inner = _item(part, step, name, at) if isinstance(part, list) else part.setdefault(step, {})
        if isinstance(inner, str):
            # A part in its short form, "encoder": "textcnn", gains settings.
            inner = part[step] = {"type": inner}
        if not isinstance(inner, dict) and not _objects(inner):
            raise ConfigError(f"cannot set {name!r}: {at} is {shown(inner)}", where="--set")
        part = inner
    key: Any = steps[-1]
    if isinstance(part, list):
        _item(part, key, name, name)
        key = int(key)
    part[key] = item
    place = within_member(steps)
    if tuple(place) in _PATHS:
        part[key] = _absolute(item, Path.cwd(), tuple(place))
    elif isinstance(item, dict):
        anchor(item, Path.cwd(), place)


def dots_alone(key: str) -> str:
    """``a.0.b`` for ``a[0].b``."""
    return re.sub(r"\[(\d+)\]", r".\1", key)


def within_member(steps: Sequence[str]) -> Sequence[str]:
    """The place ``steps`` of a config, from the ensemble's member on that it lies in: its parts are those of a config."""
    depth = len(_MEMBERS)
    return steps[depth + 1 :] if tuple(steps[:depth]) == _MEMBERS and len(steps) > depth else steps


def _objects(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _item(part: list[dict[str, Any]], step: str, name: str, at: str) -> dict[str, Any]:
    """An object of a list by its number."""
    if step.isdecimal() and str(int(step)) == step and int(step) < len(part):
        return part[int(step)]
    problem = f"cannot set {name!r}: there is no {at} (they are 0 to {len(part) - 1})"
    raise ConfigError(problem, where="--set")


def _parse(text: str, name: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_no_repeats)
    except _Repeated as error:
        raise ConfigError(f"the key {error.args[0]!r} stands twice in {name!r}", where="--set") from None
    except (ValueError, RecursionError):
        return text


def load_plugin(name: str, folder: Path | None = None) -> None:
    """Import a plug-in: an import name, or a ``.py`` file relative to ``folder`` (default: the current one).

    Raises:
        ConfigError: it cannot be imported.
    """
    place = f"plugins ({name})"
    try:
        if name.endswith(".py"):
            _load_file(((folder or Path.cwd()) / name).resolve(), place)
        else:
            if folder is not None and str(folder) not in sys.path:
                sys.path.append(str(folder))
            known, before = name in sys.modules, Registry.registrations
            importlib.import_module(name)
            if not known:
                _check_registers(before)
    except ConfigError as error:
        raise ConfigError(error.message, where=error.where or place, hint=error.hint) from None
    except (Exception, SystemExit) as error:
        raise ConfigError(f"cannot be imported: {failure(error)}", where=place) from error


def _check_registers(before: int) -> None:
    if Registry.registrations == before:
        hint = "a class with @encoders.register(...) or the like, see docs/extend.md"
        raise ConfigError("registers no part", hint=hint)


def _load_file(path: Path, place: str) -> None:
    if not path.is_file():
        near = (
            suggest(path.name, [p.name for p in path.parent.glob("*.py")]) if path.parent.is_dir() else None
        )
        raise ConfigError("no such file", where=place, hint=near)
    module = f"linnaea_plugin_{path.stem}"
    taken = getattr(sys.modules.get(module), "__file__", None)
    if taken not in (None, str(path)):  # another file of this name, in another folder
        module += f"_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
        taken = getattr(sys.modules.get(module), "__file__", None)
    if taken == str(path):
        return
    spec = importlib.util.spec_from_file_location(module, path)
    if spec is None or spec.loader is None:
        raise ConfigError("is no Python file", where=place)
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[module] = loaded
    before = Registry.registrations
    try:
        spec.loader.exec_module(loaded)
        _check_registers(before)
    except BaseException:
        del sys.modules[module]  # a half loaded plug-in must not pass for a loaded one
        raise
