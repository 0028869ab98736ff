"""The wheel: all files of the package, its command, its licence, and nothing else."""

from __future__ import annotations

import zipfile
from email import message_from_string
from pathlib import Path

import pytest

import linnaea

wheel = pytest.importorskip("hatchling.builders.wheel", reason="the extra `dev` is not installed")
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    place = tmp_path_factory.mktemp("wheel")
    (path,) = wheel.WheelBuilder(str(ROOT)).build(directory=str(place), versions=["standard"])
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name).decode(errors="replace") for name in file.namelist()}


def test_every_file_of_the_package_is_in_it(content: dict[str, str]) -> None:
    there = (path for path in (ROOT / "src/linnaea").rglob("*") if path.is_file() and path.suffix != ".pyc")
    package = {str(path.relative_to(ROOT / "src").as_posix()) for path in there}
    assert {name for name in content if ".dist-info/" not in name} == package
    assert any(not name.endswith(".py") for name in package)  # the page's parts, and py.typed


def test_what_it_says_of_itself(content: dict[str, str]) -> None:
    info = {name.split(".dist-info/")[1]: text for name, text in content.items() if ".dist-info/" in name}
    assert "linnaea = linnaea.cli.main:main" in info["entry_points.txt"].splitlines()
    assert info["licenses/LICENSE"] == (ROOT / "LICENSE").read_text(encoding="utf-8")
    said = message_from_string(info["METADATA"])
    assert (said["Name"], said["Version"]) == ("linnaea", linnaea.__version__)
    assert {"dev", "ray", "transformers", "tune"} <= set(said.get_all("Provides-Extra"))
