"""Fixtures for all tests."""

from __future__ import annotations

from collections.abc import Iterator
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


@pytest.fixture
def clean_registries() -> Iterator[None]:
    """Parts that a test registers are gone after it."""
    from linnaea.config import config, registry  # noqa: F401  config declares all that is built in

    kinds = [kind for kind in vars(registry).values() if isinstance(kind, registry.Registry)]
    before = [set(kind.names()) for kind in kinds]
    yield
    for kind, names in zip(kinds, before, strict=True):
        for known in (kind._configs, kind._modules, kind._installed):
            # Built-in modules that were loaded meanwhile stay: they register once in a process.
            for name in set(known) - names:
                del known[name]
