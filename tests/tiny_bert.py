"""A random BERT of a few thousand weights with a WordPiece tokenizer, in a folder as Hugging Face lays it out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
SHAPE: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 24,
}


def make_folder(path: Path, words: list[str], seed: int = 0, **shape: Any) -> Path:
    """The folder of a BERT whose pieces are ``words`` and single letters; its tokenizer cuts and pads by itself, too."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    pieces = [*SPECIAL, *dict.fromkeys(words)]
    letters = "abcdefghijklmnopqrstuvwxyz"
    pieces += [p for p in (*letters, *(f"##{letter}" for letter in letters)) if p not in pieces]
    torch.manual_seed(seed)
    config = transformers.BertConfig(vocab_size=len(pieces), **{**SHAPE, **shape})
    transformers.BertModel(config).save_pretrained(path)
    write_tokenizer(path, pieces)
    return path


def write_tokenizer(folder: Path, pieces: list[str]) -> None:
    """``tokenizer.json``: WordPiece over lower-cased words, [CLS] and [SEP] around; cut at 5 and padded to 5."""
    tokenizers = pytest.importorskip("tokenizers", reason="tokenizers is not installed")
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    made = tokenizers.Tokenizer(tokenizers.models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.normalizer = tokenizers.normalizers.BertNormalizer()
    made.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    ends = [(sign, vocabulary[sign]) for sign in ("[CLS]", "[SEP]")]
    made.post_processor = tokenizers.processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=ends)
    made.add_special_tokens(SPECIAL)
    made.enable_truncation(5)
    made.enable_padding(length=5)
    folder.mkdir(parents=True, exist_ok=True)
    made.save(str(folder / "tokenizer.json"))


def change_config(folder: Path, **changes: Any) -> None:
    """Rewrite some keys of ``config.json``."""
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
