"""Pretrained transformers as files: what their folder holds, and their tokenizer.

A text becomes the pieces of the transformer's own tokenizer (``tokenizer.json`` of Hugging Face), whose ids are the
transformer's own. Signs such as "[SEP]" that stand in a text are text. Texts that come as tokens are joined with
blanks and cut like any other.
"""

from __future__ import annotations

import hashlib
import importlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Self

import numpy as np

from linnaea.config.encoders_pretrained import ARCHITECTURES
from linnaea.config.registry import tokenizers
from linnaea.config.task import PretrainedTokenizerConfig
from linnaea.errors import DataError
from linnaea.files import extra, read_json
from linnaea.text.vocabulary import Vocabulary

EXTRA = "transformers"
TOKENIZER = "tokenizer.json"
# With the first of these the weights are read; the second holds Python's own format, of which only tensors are taken.
_WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
_FETCHED = ("*.json", "*.txt", "*.model")
_SURROGATES = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class TransformerFolder:
    """A pretrained transformer on disk.

    Attributes:
        architecture: its config.json.
    """

    path: Path
    architecture: dict[str, Any]

    @classmethod
    def open(cls, path: str) -> Self:
        """The transformer at ``path``, checked: architecture, weights and tokenizer are there.

        Args:
            path: a folder, or a name on the hub, which is fetched unless it was before.

        Raises:
            DataError: it is missing, incomplete or of another kind.
            MissingExtraError: a hub name, and ``transformers`` is not installed.
        """
        folder = Path(path) if Path(path).is_dir() else _fetched(path)
        architecture = read_json(folder / "config.json")
        _check_architecture(architecture, folder)
        if not any((folder / name).is_file() for name in _WEIGHTS):
            raise DataError(
                "holds no weights", where=str(folder), hint=f"looked for {', '.join(_WEIGHTS[::2])}"
            )
        if not (folder / TOKENIZER).is_file():
            hint = "transformers' AutoTokenizer.from_pretrained(...).save_pretrained(...) writes it"
            raise DataError(f"holds no {TOKENIZER}", where=str(folder), hint=hint)
        return cls(folder, architecture)


def is_hub_name(path: str) -> bool:
    """Whether ``path`` is no folder, but might be the name of a model on the hub."""
    return not Path(path).exists() and re.fullmatch(r"(\w[\w.-]*/)?\w[\w.-]*", path) is not None


def _check_architecture(value: Any, folder: Path) -> None:
    where = str(folder / "config.json")
    kind = value.get("model_type") if isinstance(value, dict) else None
    if kind is None:
        raise DataError('is no config.json of a transformer: it names no "model_type"', where=where)
    if value.get("is_encoder_decoder"):
        raise DataError(f"{kind!r} is an encoder with a decoder; only encoders are read", where=where)
    if value.get("is_decoder"):
        raise DataError(f"this {kind!r} is a decoder; only encoders are read", where=where)
    if kind not in ARCHITECTURES:
        hint = "known: " + ", ".join(ARCHITECTURES)
        raise DataError(f"{kind!r} is no encoder of texts that is read here", where=where, hint=hint)


@lru_cache(maxsize=8)
def _fetched(name: str) -> Path:
    """The folder of a hub name, from the hub's own cache where it is complete."""
    if not is_hub_name(name):
        raise DataError("no such folder", where=name, hint="model.encoder.path names it")
    hub = extra(EXTRA, "a model from the hub", lambda: importlib.import_module("huggingface_hub"))

    def snapshot(*patterns: str, **options: Any) -> Path:
        return Path(hub.snapshot_download(name, allow_patterns=[*_FETCHED, *patterns], **options))

    try:
        folder = snapshot("*.safetensors", local_files_only=True)
        if any((folder / file).is_file() for file in _WEIGHTS):
            return folder
    except Exception:  # the hub's library has many ways to say that something is not there
        pass
    try:
        folder = snapshot("*.safetensors")
        held = any((folder / file).is_file() for file in _WEIGHTS)
        return folder if held else snapshot("pytorch_model*.bin")
    except Exception as bad:
        reason = str(bad).strip().splitlines()[:1] or [type(bad).__name__]
        problem = f"is no folder here, and cannot be fetched from the hub: {reason[0]}"
        raise DataError(problem, where=name, hint="model.encoder.path names it") from None


@dataclass(frozen=True, eq=False)
class PieceVocabulary(Vocabulary):
    """The vocabulary that a tokenizer brings along; ids may have gaps."""

    numbers: dict[str, int]

    def __len__(self) -> int:
        return max(self.numbers.values(), default=-1) + 1

    @cached_property
    def index(self) -> dict[str, int]:
        return self.numbers


class Pieces:
    """A tokenizer of Hugging Face, as its JSON describes it; cuts texts into pieces, without special tokens.

    Args:
        json: the content of a ``tokenizer.json``.
        where: for messages.

    Raises:
        MissingExtraError: the library ``tokenizers`` is not installed.
        DataError: it cannot be read.
    """

    def __init__(self, json: str, where: str, error: type[DataError] = DataError) -> None:
        self.json = json
        library = extra(EXTRA, "the tokenizer 'pretrained'", lambda: importlib.import_module("tokenizers"))
        try:
            self._tokenizer = library.Tokenizer.from_str(json)
        except Exception as bad:  # a plain Exception is all that the library raises
            raise error(f"is no tokenizer that can be read: {bad}", where=where) from None
        # Texts are cut and padded elsewhere.
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._tokenizer.encode_special_tokens = True

    @classmethod
    def read(cls, path: Path, error: type[DataError] = DataError) -> Self:
        """The tokenizer in a file."""
        try:
            return cls(path.read_text(encoding="utf-8"), str(path), error)
        except FileNotFoundError:
            raise error("no such file", where=str(path)) from None
        except UnicodeDecodeError as bad:
            raise error(f"not UTF-8 (byte {bad.start})", where=str(path)) from None
        except OSError as bad:
            raise error(f"cannot read: {(bad.strerror or str(bad)).lower()}", where=str(path)) from None

    def __call__(self, text: str) -> list[str]:
        return self.rows([text])[0]

    def rows(self, texts: Sequence[str | Sequence[str]]) -> list[list[str]]:
        """The pieces of each text; of tokens, those of the tokens joined with blanks."""
        plain = [_clean(text if isinstance(text, str) else " ".join(text)) for text in texts]
        return [code.tokens for code in self._tokenizer.encode_batch(plain, add_special_tokens=False)]

    @cached_property
    def vocabulary(self) -> PieceVocabulary:
        """Pieces to the transformer's ids."""
        numbers: dict[str, int] = self._tokenizer.get_vocab(with_added_tokens=True)
        words = tuple(sorted(numbers, key=numbers.__getitem__))
        return PieceVocabulary(words, np.zeros(len(words), dtype=np.int64), 0, False, numbers)

    @cached_property
    def special(self) -> tuple[list[int], list[int]]:
        """Ids of the special tokens that stand before and after a text."""
        code = self._tokenizer.encode("a", add_special_tokens=True)
        plain = [place for place, special in enumerate(code.special_tokens_mask) if not special]
        first, last = (plain[0], plain[-1]) if plain else (len(code.ids), len(code.ids))
        return list(code.ids[:first]), list(code.ids[last + 1 :])

    @cached_property
    def digest(self) -> str:
        """SHA-256 of what it was read from."""
        return hashlib.sha256(self.json.encode()).hexdigest()


def _clean(text: str) -> str:
    """``text`` without lone surrogates, which no UTF-8 can hold."""
    return text if text.isascii() else _SURROGATES.sub("\ufffd", text)


def read_pieces(config: PretrainedTokenizerConfig) -> Pieces:
    """The tokenizer of the transformer that ``config`` names."""
    path = Path(config.path)
    folder = path if path.is_dir() else _fetched(config.path)
    return Pieces.read(folder / TOKENIZER)


@tokenizers.register("pretrained")
def pretrained(config: PretrainedTokenizerConfig) -> Pieces:
    """As tokenizers of the registry are built."""
    return read_pieces(config)
