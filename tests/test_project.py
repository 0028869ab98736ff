"""The project around the code: generated pages are up to date, scripts and package say the same things."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

import linnaea
from linnaea.config.config import Config

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SCRIPTS = ["install", "demo", "test", "check", "bench", "docs"]


@pytest.fixture(scope="module")
def config_page() -> ModuleType:
    spec = importlib.util.spec_from_file_location("config_page", ROOT / "scripts" / "config_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_config_page_is_up_to_date(config_page: ModuleType) -> None:
    assert (ROOT / "docs" / "config.md").read_text(encoding="utf-8") == config_page.page(), "run scripts/docs"


def test_the_config_page_names_every_key(config_page: ModuleType) -> None:
    text = config_page.page()

    def walk(value: dict[str, object], path: str) -> None:
        for key, item in value.items():
            assert f"| `{key}` |" in text or key == "type", f"{path}{key}"
            if isinstance(item, dict):
                walk(item, f"{path}{key}.")

    walk(Config().model_dump(mode="json"), "")


@pytest.mark.parametrize("name", [f"scripts/{name}" for name in SCRIPTS] + [".ci/run"])
def test_scripts_are_sound(name: str) -> None:
    path = ROOT / name
    text = path.read_text(encoding="utf-8")
    assert text.startswith("#!/usr/bin/env bash\n")
    assert "set -euo pipefail" in text
    assert path.stat().st_mode & 0o111, "is not executable"
    assert subprocess.run(["bash", "-n", str(path)], check=False).returncode == 0


def test_pages_link_to_what_is_there() -> None:
    pages = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    pages += sorted((ROOT / "docs").rglob("*.md"))
    assert len(pages) > 6
    for page in pages:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if not target.startswith(("http:", "https:", "mailto:")):
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_readme_configs_hold() -> None:
    blocks = re.findall(r"```json\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.S)
    assert blocks
    for block in blocks:
        Config.build(json.loads(block))


def test_constraints_pin_every_direct_dependency() -> None:
    pins = re.findall(r"^([\w-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), flags=re.M)
    pinned = {name.lower(): version for name, version in pins}
    wanted = [*PROJECT["project"]["dependencies"]]
    for extra in PROJECT["project"]["optional-dependencies"].values():
        wanted += extra
    for requirement in wanted:
        match = re.fullmatch(r"([\w-]+)>=([\d.]+)", requirement)
        assert match, requirement
        name, least = match.groups()
        assert name in pinned, f"{name} is not in constraints.txt"
        assert _numbers(pinned[name]) >= _numbers(least), requirement


def _numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]


def test_license_is_the_whole_of_apache_2() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert PROJECT["project"]["license"] == "Apache-2.0"
    for phrase in ("Version 2.0, January 2004", "9. Accepting Warranty", "APPENDIX: How to apply"):
        assert phrase in text


def test_the_changelog_knows_this_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## \[{re.escape(linnaea.__version__)}\]", text, flags=re.M)


def test_version_on_the_command_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "linnaea", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"linnaea {linnaea.__version__}\n"
    assert done.stderr == ""


def test_types_are_shipped() -> None:
    assert (Path(linnaea.__file__).parent / "py.typed").exists()


def test_the_encoder_of_the_contributing_guide_works() -> None:
    torch = pytest.importorskip("torch")
    from linnaea.config.registry import encoders

    blocks = re.findall(
        r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), flags=re.S
    )
    try:
        exec(compile("\n".join(blocks), "CONTRIBUTING.md", "exec"), {"__name__": "guide"})
        config = Config.build({"model": {"encoder": {"type": "top_mean", "top": 2}}})
        encoder = encoders.build(config.model.encoder, input_dim=1)
    finally:
        for known in (encoders._configs, encoders._modules):
            known.pop("top_mean", None)
    vectors_BTE = torch.tensor([[[1.0], [5.0], [3.0], [9.0]], [[4.0], [7.0], [7.0], [7.0]], [[2.0]] * 4])
    mask_BT = torch.tensor([[True, True, True, False], [True, False, False, False], [False] * 4])
    assert encoder.encode(vectors_BTE, mask_BT).pooled_BD.tolist() == [[4.0], [4.0], [0.0]]
