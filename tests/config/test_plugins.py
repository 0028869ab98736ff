"""Parts of one's own: a .py file or a module that registers them; their settings are checked like ours."""

from __future__ import annotations

import json
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from linnaea.config import registry as registries
from linnaea.config.config import Config, load_plugin, schema
from linnaea.config.encoders import EncoderConfig
from linnaea.config.objective import LossConfig
from linnaea.config.part import Part
from linnaea.config.registry import Registry, encoders
from linnaea.errors import ConfigError
from tests.references.json_schema import Schema

MINE = """
from pydantic import Field
from linnaea.config.encoders import EncoderConfig
from linnaea.config.part import Part
from linnaea.config.registry import encoders

class Window(Part):
    size: int = Field(3, ge=1)

@encoders.register("mine")
class Mine:
    class Config(EncoderConfig):
        reads = "sequence"
        width: int
        window: Window = Window()

    def __init__(self, config, input_dim):
        self.config, self.input_dim = config, input_dim
"""


pytestmark = pytest.mark.usefixtures("clean_registries")


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(MINE)
    path = tmp_path / "a.json"
    value = {"plugins": ["mine.py"], "model": {"encoder": {"type": "mine", "width": 5}}}
    path.write_text(json.dumps(value))
    return path


def test_a_file_beside_the_config(config_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    config = Config.load(config_file)
    assert config.model.encoder.type == "mine"
    assert config.model.encoder.model_dump() == {"width": 5, "window": {"size": 3}}
    assert config.plugins == [str(config_file.parent / "mine.py")]
    assert Config.build(json.loads(json.dumps(config.dump()))) == config
    module = encoders.build(config.model.encoder, input_dim=7)
    assert (module.config, module.input_dim) == (config.model.encoder, 7)  # type: ignore[attr-defined]


def test_a_dumped_config_finds_its_files_from_anywhere(
    config_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = json.loads(config_file.read_text())
    monkeypatch.chdir(config_file.parent)
    built = [
        Config.build(value),
        Config.build_with(value, []),
        Config.build(value, config_file.parent),
        Config.load(config_file, ['plugins=["mine.py"]']),
    ]
    monkeypatch.chdir("/")
    for config in [*built, Config.build(value, config_file.parent)]:
        assert config.plugins == [str(config_file.parent / "mine.py")]
        del encoders._configs["mine"], encoders._modules["mine"]
        sys.modules.pop("linnaea_plugin_mine")
        assert Config.build(json.loads(json.dumps(config.dump()))).dump() == config.dump()
    assert value["plugins"] == ["mine.py"]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("model.encoder.widht=3", "model.encoder.widht: unknown key (did you mean 'width'?)"),
        ("model.encoder.width=wide", "model.encoder.width: must be an integer, not 'wide'"),
        ("model.encoder=mine", "model.encoder.width: this key is missing"),
        ("model.encoder.window.size=0", "model.encoder.window.size: must be at least 1, not 0"),
        ("model.encoder.window.sise=1", "model.encoder.window.sise: unknown key (did you mean 'size'?)"),
        ("model.encoder=mime", "there is no encoder 'mime' (did you mean 'mine'?)"),
    ],
)
def test_their_settings_are_checked_like_ours(setting: str, message: str, config_file: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        Config.load(config_file, [setting])
    assert message in str(caught.value)


def test_they_stand_in_the_schema(config_file: Path) -> None:
    Config.load(config_file)
    found = Schema(schema())
    assert found.accepts({"model": {"encoder": {"type": "mine", "width": 5, "window": {"size": 2}}}})
    assert not found.accepts({"model": {"encoder": {"type": "mine"}}})
    assert not found.accepts({"model": {"encoder": "mine"}})
    assert not found.accepts({"model": {"encoder": {"type": "mine", "width": 5, "window": {"size": 0}}}})


def test_paths_of_plugins_in_settings_are_from_the_current_folder(
    config_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "mine.py").rename(tmp_path / "here" / "ours.py")
    monkeypatch.chdir(tmp_path / "here")
    assert Config.load(config_file, ['plugins=["ours.py"]']).plugins == [str(tmp_path / "here" / "ours.py")]


def test_a_module_beside_the_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path / "elsewhere"))  # so that sys.path is put back afterwards
    (tmp_path / "my_encoders_4711.py").write_text(MINE)
    (tmp_path / "a.json").write_text(
        json.dumps({"plugins": ["my_encoders_4711"], "model": {"encoder": {"type": "mine", "width": 5}}})
    )
    assert Config.load(tmp_path / "a.json").model.encoder.type == "mine"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("min.py", "", "plugins ({folder}/min.py): no such file (did you mean 'mine.py'?)"),
        ("no_such_module_4711", "", "cannot be imported: ModuleNotFoundError"),
        (
            "bad.py",
            "import no_such_module_4711",
            "plugins ({folder}/bad.py): cannot be imported: ModuleNotFoundError",
        ),
        ("bad.py", "def f(:", "cannot be imported: SyntaxError"),
        ("bad.py", "raise RuntimeError('first\\nsecond')", "cannot be imported: RuntimeError: first second"),
        (
            "bad.py",
            "from linnaea.config.registry import encoders\n@encoders.register('textcnn')\nclass X: pass",
            "two encoders are called 'textcnn'",
        ),
        (
            "bad.py",
            "from linnaea.config.registry import encoders\n@encoders.register('new')\nclass X: pass",
            "the encoder 'new' has no Config class inside",
        ),
    ],
)
def test_plugins_that_cannot_be_loaded(name: str, content: str, message: str, config_file: Path) -> None:
    folder = config_file.parent
    if content:
        (folder / name).write_text(content)
    config_file.write_text(json.dumps({"plugins": [name]}))
    for _ in range(2):  # a failed import does not pass for a good one the second time
        with pytest.raises(ConfigError) as caught:
            Config.load(config_file)
        assert message.format(folder=folder) in str(caught.value)
        assert str(caught.value).startswith(str(config_file))


def test_a_mended_plugin_can_be_loaded_again(config_file: Path) -> None:
    good = (config_file.parent / "mine.py").read_text()
    (config_file.parent / "mine.py").write_text(good + "\nraise RuntimeError('not yet')\n")
    with pytest.raises(ConfigError, match="not yet"):
        Config.load(config_file)
    (config_file.parent / "mine.py").write_text(good)
    assert Config.load(config_file).model.encoder.type == "mine"


def test_two_parts_of_one_name_are_refused() -> None:
    class Own:
        class Config(EncoderConfig):
            pass

    class Other:
        class Config(EncoderConfig):
            pass

    class Heir(Own):
        pass

    encoders.register("own_4711")(Own)
    with pytest.raises(ConfigError, match="two encoders are called 'own_4711'"):
        encoders.register("own_4711")(Other)
    with pytest.raises(ConfigError, match="two encoders are called 'textcnn'"):
        encoders.register("textcnn")(Other)
    with pytest.raises(ConfigError, match="'own_4711' and 'heir_4711' share one Config class"):
        encoders.register("heir_4711")(Heir)
    with pytest.raises(ConfigError, match="the Config of the encoder 'part_4711' is no EncoderConfig"):
        encoders.register("part_4711")(type("Wrong", (), {"Config": Part}))
    with pytest.raises(ConfigError, match="the Config of the encoder 'loss_4711' is no EncoderConfig"):
        encoders.register("loss_4711")(type("Wrong", (), {"Config": LossConfig}))


def test_a_registry_of_ones_own() -> None:
    kind: Registry[Any] = Registry("colour")

    @kind.declare("red")
    class Red(EncoderConfig):
        pass

    assert list(kind) == ["red"]
    assert kind.config("red") is Red
    assert Red().type == "red"
    with pytest.raises(ConfigError, match=r"there is no colour 'rad'.*did you mean 'red'"):
        kind.config("rad")
    with pytest.raises(ConfigError, match="'red' is declared but has no module"):
        kind.build(Red())
    kind.register("red")(lambda config, size: (config, size))
    assert kind.build(Red(), size=3) == (Red(), 3)


def test_installed_plugins_are_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "installed_4711.py").write_text(MINE)
    (tmp_path / "broken_4711.py").write_text("import no_such_module_4711")
    points = [
        EntryPoint("mine", "installed_4711:Mine", "linnaea.encoders"),
        EntryPoint("broken", "broken_4711:Broken", "linnaea.encoders"),
    ]
    monkeypatch.setattr(registries, "entry_points", lambda group: [p for p in points if p.group == group])
    assert "mine" not in encoders.names()
    assert Config.build({"model": {"encoder": {"type": "mine", "width": 1}}}).model.encoder.type == "mine"
    assert "mine" in encoders.names()
    with pytest.raises(ConfigError, match=r"the plug-in 'broken_4711:Broken' cannot be imported"):
        Config.build({"model": {"encoder": "broken"}})
    assert encoders.known()["mine"] is None
    assert "cannot be imported" in str(encoders.known()["broken"])
    assert encoders.origin("mine") == "installed_4711:Mine"
    assert encoders.origin("textcnn") is None


def test_groups_and_messages_have_plurals() -> None:
    kinds = {name: kind for name, kind in vars(registries).items() if isinstance(kind, Registry)}
    assert {name: kind.plural for name, kind in kinds.items()} == {name: name for name in kinds}
    assert {kind.group for kind in kinds.values()} == {f"linnaea.{name}" for name in kinds}


def test_files_of_one_name_in_two_folders_are_two_plugins(tmp_path: Path) -> None:
    for folder, name in (("a", "one_4711"), ("b", "two_4711"), ("c", "two_4711")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same_4711.py").write_text(MINE.replace('"mine"', f'"{name}"'))
    Config.build({"plugins": ["a/same_4711.py", "b/same_4711.py"]}, tmp_path)
    assert {"one_4711", "two_4711"} <= set(encoders.names())
    assert encoders.origin("two_4711") == str(tmp_path / "b" / "same_4711.py")
    with pytest.raises(ConfigError, match="two encoders are called 'two_4711'"):
        Config.build({"plugins": ["c/same_4711.py"]}, tmp_path)


def test_a_module_that_takes_other_arguments_is_told_what_it_gets(config_file: Path) -> None:
    path = config_file.parent / "mine.py"
    path.write_text(path.read_text().replace("(self, config, input_dim)", "(self, config)"))
    config = Config.load(config_file)
    with pytest.raises(ConfigError) as caught:
        encoders.build(config.model.encoder, input_dim=7)
    assert str(caught.value) == (
        "the encoder 'mine' cannot be built: got an unexpected keyword argument 'input_dim' "
        "(it is called with config, input_dim)"
    )


def test_load_plugin_from_the_current_folder(config_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(config_file.parent)
    load_plugin("mine.py")
    assert "mine" in encoders.names()
    load_plugin("mine.py")  # a second time does nothing


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        pytest.param(kind, name, id=f"{kind.kind}-{name}")
        for kind in vars(registries).values()
        if isinstance(kind, Registry)
        for name in kind.names()
    ],
)
def test_every_declared_part_has_a_module(kind: Registry[Any], name: str) -> None:
    assert callable(kind.module(name))
