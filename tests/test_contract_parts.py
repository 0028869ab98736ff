"""What every registered tokenizer and metric must hold to. To register is to be tried.

The rules are those of ``linnaea.testing``, which parts of one's own are held to; those of networks and losses are in
``tests/nn/test_contract.py``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from linnaea.config.registry import metrics, tokenizers
from linnaea.testing import RULES, check_metric, check_tokenizer
from tests.tiny_bert import write_tokenizer


@pytest.mark.parametrize("rule", RULES["tokenizer"])
@pytest.mark.parametrize("name", tokenizers.names())
def test_tokenizers(name: str, rule: str, tmp_path: Path) -> None:
    settings = {}
    if name == "pretrained":
        pytest.importorskip("transformers", reason="transformers is not installed")
        letters = "abcdefghijklmnopqrstuvwxyz"
        write_tokenizer(
            tmp_path / "bert", ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "word", "the", *letters]
        )
        settings["path"] = str(tmp_path / "bert")
    check_tokenizer(name, settings, rules=[rule])


@pytest.mark.parametrize("rule", RULES["metric"])
@pytest.mark.parametrize("name", metrics.names())
def test_metrics(name: str, rule: str) -> None:
    check_metric(name, rules=[rule])
