"""Fixtures for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real corpora beside the project; tests that need it skip where it is missing."""
    if not (SHARED / "data").is_dir():
        pytest.skip("the corpora in ../shared/data are not on this machine")
    return SHARED / "data"


@pytest.fixture(scope="session")
def shared_examples() -> Path:
    """The folder of example configs beside the project."""
    if not (SHARED / "examples").is_dir():
        pytest.skip("the example configs in ../shared/examples are not on this machine")
    return SHARED / "examples"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test has a cache of its own, so that none sees another's."""
    monkeypatch.setenv("LINNAEA_CACHE", str(tmp_path_factory.mktemp("cache")))
