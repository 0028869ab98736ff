"""RawLines: lines of corpus files again, and only of files."""

from __future__ import annotations

from pathlib import Path

import pytest

from linnaea.corpus.document import Origin
from linnaea.corpus.stream import STDIN_NAME
from linnaea.text.leftout import RawLines


def test_lines_by_offset(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"first\r\nsecond\n")
    with RawLines() as lines:
        assert lines.read(Origin(str(path), 2, 7)) == b"second"
        assert lines.read(Origin(str(path), 1, 0)) == b"first"
        assert lines.read(Origin(str(path), 1)) is None
        assert lines.read(Origin(str(tmp_path / "gone"), 1, 0)) is None
        assert lines.read(None) is None


def test_standard_input_cannot_be_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even where a file happens to have that name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / STDIN_NAME).write_bytes(b"somebody else's\n")
    with RawLines() as lines:
        assert lines.read(Origin(STDIN_NAME, 1, 0)) is None
