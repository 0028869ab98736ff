"""Config.load: files, paths, ``--set``, short forms; what is wrong with a file is said with its place."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from linnaea.config.config import Config
from linnaea.errors import ConfigError


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder ``configs`` for config files beside the current folder ``here``."""
    for name in ("configs", "here"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


def write(place: Path, value: Any, name: str = "a.json") -> Path:
    path = place / "configs" / name
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


def refusal(path: Path, *settings: str) -> str:
    with pytest.raises(ConfigError) as caught:
        Config.load(path, settings)
    text = str(caught.value)
    assert text.isprintable()
    return text


def test_an_empty_config_is_all_defaults(place: Path) -> None:
    assert Config.load(write(place, {})) == Config.build({})


def test_paths_are_relative_to_the_config_and_the_run_to_the_current_folder(place: Path) -> None:
    value = {
        "task": {"taxonomy": "../data/t.tsv"},
        "data": {"train": ["x.jsonl", "/abs/y.jsonl"], "dev": "d.jsonl", "test": "-"},
        "model": {"embedder": {"type": "lookup", "pretrained": "vectors.txt"}},
        "run": {"dir": "runs/x"},
    }
    config = Config.load(write(place, value))
    configs = place / "configs"
    assert config.task.taxonomy == str(place / "data" / "t.tsv")
    assert config.data.train == [str(configs / "x.jsonl"), "/abs/y.jsonl"]
    assert config.data.dev == str(configs / "d.jsonl")
    assert config.data.test == "-"
    assert config.model.embedder.pretrained == str(configs / "vectors.txt")  # type: ignore[attr-defined]
    assert config.run.dir == "runs/x"


def test_a_config_can_be_read_from_anywhere_and_through_a_link(place: Path) -> None:
    path = write(place, {"data": {"train": "x.jsonl"}})
    expected = str(place / "configs" / "x.jsonl")
    assert Config.load(os.path.relpath(path)).data.train == expected
    (place / "here" / "link.json").symlink_to(path)
    assert Config.load("link.json").data.train == expected


def test_home_is_understood(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/carl")
    assert Config.load(write(place, {"data": {"train": "~/x.jsonl"}})).data.train == "/home/carl/x.jsonl"
    assert "data.train: '~nobody-of-this-name/x' is no path" in refusal(
        write(place, {"data": {"train": "~nobody-of-this-name/x"}})
    )
    assert "is no path" in refusal(write(place, {"data": {"train": "a\0b"}}))


@pytest.mark.parametrize(
    ("setting", "path", "expected"),
    [
        ("training.epochs=7", "training.epochs", 7),
        ("run.dir=runs/y", "run.dir", "runs/y"),
        ("run.dir=a=b", "run.dir", "a=b"),
        ('run.dir="7"', "run.dir", "7"),
        ("run.device=cpu", "run.device", "cpu"),
        ("training.early_stopping=null", "training.early_stopping", None),
        ("data.cache=false", "data.cache", False),
        ("model.encoder.filters=5", "model.encoder.filters", 5),
        ("model.encoder.kernel_sizes=[1, 2]", "model.encoder.kernel_sizes", [1, 2]),
        ("model.encoder=fasttext", "model.encoder.type", "fasttext"),
        ('model.encoder={"type": "textcnn", "top_k": 2}', "model.encoder.filters", 100),
        ("decision.decoding.type=max", "decision.decoding.type", "max"),
        ("task.taxonomy=t.tsv", "task.taxonomy", "HERE/t.tsv"),
        ("task.taxonomy=../t.tsv", "task.taxonomy", "HERE/../t.tsv"),
        ('data.train=["x", "/y"]', "data.train", ["HERE/x", "/y"]),
        ('data={"train": "x"}', "data.train", "HERE/x"),
        ('data={"train": "x"}', "data.dev", None),
        ('model={"embedder": {"type": "lookup", "pretrained": "v"}}', "model.embedder.pretrained", "HERE/v"),
        ('model.embedder={"type": "lookup", "pretrained": "v"}', "model.embedder.pretrained", "HERE/v"),
    ],
)
def test_set(setting: str, path: str, expected: Any, place: Path) -> None:
    value = {
        "data": {"train": "t.jsonl", "dev": "d.jsonl"},
        "model": {"encoder": {"type": "textcnn", "filters": 50}},
        "decision": {"decoding": "none"},
    }

    def placed(item: Any) -> Any:
        if isinstance(item, list):
            return [placed(inner) for inner in item]
        if isinstance(item, str) and item.startswith("HERE"):
            return os.path.normpath(item.replace("HERE", str(place / "here")))
        return item

    found: Any = Config.load(write(place, value), [setting])
    for step in path.split("."):
        found = getattr(found, step)
    assert found == placed(expected)


def test_later_settings_win_and_the_file_keeps_what_is_not_set(place: Path) -> None:
    path = write(place, {"data": {"train": "t.jsonl"}, "run": {"seed": 3}})
    config = Config.load(path, ["run.seed=4", "run.seed=5", "data.test=x"])
    assert config.run.seed == 5
    assert config.data.train == str(place / "configs" / "t.jsonl")
    assert config.data.test == str(place / "here" / "x")


def test_a_short_form_gains_settings(place: Path) -> None:
    path = write(place, {"model": {"encoder": "textcnn"}})
    assert Config.load(path, ["model.encoder.filters=9"]).model.encoder.filters == 9  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("training.epochs", "--set: expected KEY=VALUE, got 'training.epochs'"),
        ("=5", "--set: expected KEY=VALUE, got '=5'"),
        ("training..epochs=5", "--set: expected KEY=VALUE"),
        ("training.epoch=5", "training.epoch: unknown key (did you mean 'epochs'?)"),
        ("training.epochs=many", "training.epochs: must be an integer, not 'many'"),
        ("run.seed.x=5", "--set: cannot set 'run.seed.x': run.seed is 3"),
        ("data.train.0=5", "--set: cannot set 'data.train.0': data.train is ["),
        ('run={"seed": 1, "seed": 2}', "--set: the key 'seed' stands twice in 'run'"),
        ("training.epochs=NaN", "training.epochs: must be an integer, not nan"),
        ("run.dir=" + "9" * 5000, "run.dir"),
    ],
)
def test_settings_that_do_not_hold(setting: str, message: str, place: Path) -> None:
    path = write(place, {"data": {"train": ["t.jsonl"]}, "run": {"seed": 3}})
    if setting.startswith("run.dir="):
        assert Config.load(path, [setting]).run.dir == "9" * 5000
    else:
        assert message in refusal(path, setting)


def test_settings_of_an_ensembles_members(place: Path) -> None:
    network = {"model": {"encoder": "fasttext"}, "training": {"epochs": 2}}
    strategy = {"type": "ensemble", "members": [{"training": {"strategy": "linear"}}, network]}
    path = write(place, {"data": {"train": "t.jsonl"}, "training": {"strategy": strategy}})
    config = Config.load(
        path,
        [
            "training.strategy.members.0.training.strategy.C=3",
            "training.strategy.members.1.model.embedder.pretrained=v.txt",
            "training.strategy.members[1].seeds=2",
        ],
    )
    first, second = config.training.strategy.members  # type: ignore[attr-defined]
    assert first.training["strategy"]["C"] == 3
    assert second.model["embedder"]["pretrained"] == str(place / "here" / "v.txt")
    assert second.seeds == 2
    whole = Config.load(
        path, ['training.strategy.members.1={"training": {"strategy": "linear"}, "seeds": 3}']
    )
    assert [member.seeds for member in whole.training.strategy.members] == [1, 3]  # type: ignore[attr-defined]
    told = refusal(path, "training.strategy.members[0].training.strategy.C=-1")
    assert told.startswith("--set training.strategy.members[0].training.strategy.C: must be above 0, not -1")
    for key, at in (("2.seeds", "2"), ("2", "2"), ("first.seeds", "first"), ("-1.seeds", "-1")):
        assert refusal(path, f"training.strategy.members.{key}=2") == (
            f"--set: cannot set 'training.strategy.members.{key}': there is no training.strategy.members.{at} "
            "(they are 0 to 1)"
        )


def test_build_with_settings_from_python(place: Path) -> None:
    value = {"data": {"train": Path("x.jsonl")}, "training": {"epochs": 3}}
    config = Config.build_with(value, ["training.epochs=4"])
    assert config.data.train == str(place / "here" / "x.jsonl")
    assert config.training.epochs == 4
    assert value == {"data": {"train": Path("x.jsonl")}, "training": {"epochs": 3}}


@pytest.mark.parametrize(
    ("content", "place_in_file", "message"),
    [
        ('{"task": {},\n "run": {"seed": }}', ":2", "broken JSON: Expecting value, column 18"),
        ("", ":1", "broken JSON"),
        ("[]", "", "a config is an object, not []"),
        ("null", "", "a config is an object, not null"),
        ('{"run": {"seed": 1, "seed": 2}}', "", "the key 'seed' stands twice in one object"),
        ('{"run": {}, "task": {}, "run": {}}', "", "the key 'run' stands twice in one object"),
        ("[" * 100_000, "", "nested too deep"),
        ('{"run": {"seed": ' + "9" * 5000 + "}}", "", "cannot be read"),
        ('{"run": {"seeds": 1}}', ": run.seeds", "unknown key (did you mean 'seed'?)"),
        ('{"input": {"max_tokens": 0}}', ": input.max_tokens", "must be at least 1, not 0"),
    ],
)
def test_broken_files(content: str, place_in_file: str, message: str, place: Path) -> None:
    path = write(place, content)
    text = refusal(path)
    assert text.startswith(f"{path}{place_in_file}: ")
    assert message in text


def test_files_that_cannot_be_read(place: Path) -> None:
    write(place, {}, "reuters.json")
    missing = place / "configs" / "reuter.json"
    assert refusal(missing) == f"{missing}: no such config file (did you mean 'reuters.json'?)"
    assert refusal(place / "no" / "a.json") == f"{place}/no/a.json: no such config file"
    assert refusal(place) == f"{place}: is a folder, not a config file"
    (place / "latin.json").write_bytes('{"run": {"dir": "Größe"}}'.encode("latin-1"))
    assert refusal(place / "latin.json") == f"{place}/latin.json: not UTF-8 (byte 19)"


def test_byte_order_mark_and_windows_lines(place: Path) -> None:
    path = place / "configs" / "a.json"
    path.write_bytes(b'\xef\xbb\xbf{\r\n "run": {"seed": 5}\r\n}\r\n')
    assert Config.load(path).run.seed == 5


def test_the_schema_line_that_editors_read_is_passed_over(place: Path) -> None:
    config = Config.load(write(place, {"$schema": "linnaea.schema.json", "run": {"seed": 5}}))
    assert config == Config.build({"run": {"seed": 5}})


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ({"model": {"encoder": "textcnn"}}, {"model": {"encoder": {"type": "textcnn"}}}),
        ({"input": {"tokenizer": "whitespace"}}, {"input": {"tokenizer": {"type": "whitespace"}}}),
        ({"training": {"strategy": "linear"}}, {"training": {"strategy": {"type": "linear"}}}),
        ({"decision": {"decoding": "max"}}, {"decision": {"decoding": {"type": "max"}}}),
        ({"objective": {"loss": "bce"}}, {"objective": {"loss": {"type": "bce"}}}),
    ],
)
def test_short_forms(short: dict[str, Any], long: dict[str, Any]) -> None:
    assert Config.build(short) == Config.build(long)
    assert Config.build(short).dump() == Config.build(long).dump()


def test_reading_a_config_needs_none_of_the_heavy_libraries(place: Path) -> None:
    path = write(place, {"model": {"encoder": {"type": "textcnn", "filters": 3}}})
    code = (
        "import sys; from linnaea.config.config import Config, schema\n"
        "Config.load(sys.argv[1]); schema()\n"
        "heavy = {'torch', 'numpy', 'scipy', 'sklearn', 'pandas', 'pyarrow', 'lightning_fabric'}\n"
        "print(sorted(heavy & {name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
