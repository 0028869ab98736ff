"""Between a pretrained transformer's folder and the encoder ``pretrained``: its shape, and its weights before training.

A model folder keeps the shape (``transformer.json``) and, among all others, the weights: it needs the transformer's own
folder no more.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from linnaea.config.encoders_pretrained import PretrainedConfig
from linnaea.errors import DataError, ModelError
from linnaea.files import extra, read_json, write_json
from linnaea.nn.encoders.pretrained import Pretrained
from linnaea.nn.layers.transformers import taken
from linnaea.nn.network import Encoder, Sizes
from linnaea.taxonomy.taxonomy import Taxonomy
from linnaea.text.pretrained import EXTRA, TOKENIZER, Pieces, TransformerFolder

if TYPE_CHECKING:
    from linnaea.config.config import Config
    from linnaea.text.featurizer import Featurizer

SHAPE = "transformer.json"


def check_transformer(config: PretrainedConfig) -> None:
    """Whether the transformer that ``config`` names is there and does what ``config`` asks; reads no weights.

    Raises:
        DataError, ConfigError, MissingExtraError: as ``TransformerFolder.open`` and ``Pretrained``.
    """
    folder = TransformerFolder.open(config.path)
    shape = shape_of(folder, Pieces.read(folder.path / TOKENIZER))
    nobody = Taxonomy.build(["any"], ["any"], [[]])
    with torch.device("meta"):
        encoder = Pretrained(config, sizes=Sizes({}, nobody, np.zeros(1, dtype=np.int64), 0, shape))
    _check_shapes(encoder, folder)


def _check_shapes(encoder: Pretrained, folder: TransformerFolder) -> None:
    """Whether the weights have the shapes that config.json asks for, by the headers of their files.

    Raises:
        DataError: one has another.
    """
    asked = {name: list(tensor.shape) for name, tensor in encoder.transformer.state_dict().items()}
    prefix = f"{encoder.transformer.base_model_prefix}."
    single = folder.path / "model.safetensors"
    for file in [single] if single.is_file() else sorted(folder.path.glob("model-*.safetensors")):
        try:
            with safe_open(file, "np") as weights:
                found = {name: list(weights.get_slice(name).get_shape()) for name in weights.keys()}  # noqa: SIM118
        except (SafetensorError, OSError, ValueError):
            return  # whatever is wrong with it is told when it is read
        for name, shape in found.items():
            own = name if name in asked else name.removeprefix(prefix)
            if own in asked and asked[own] != shape:
                raise _misfit(folder, name, shape, asked[own])


def _misfit(folder: TransformerFolder, name: str, shape: Sequence[int], asked: Sequence[int]) -> DataError:
    problem = f"its weights do not fit its config.json, which asks for {name} of shape {list(asked)}, not {list(shape)}"
    return DataError(problem, where=str(folder.path), hint="are they of another size of this architecture?")


def shape_of(folder: TransformerFolder, pieces: Pieces) -> dict[str, Any]:
    """What a network is built from.

    Raises:
        DataError: the tokenizer is not that of the transformer.
    """
    before, after = pieces.special
    known, largest = folder.architecture.get("vocab_size"), len(pieces.vocabulary)
    if isinstance(known, int) and largest > known:
        problem = (
            f"numbers {largest:,} pieces, and the transformer knows {known:,}: it belongs to another one"
        )
        raise DataError(problem, where=str(folder.path / TOKENIZER))
    return {"architecture": taken(folder.architecture), "before": before, "after": after}


def source_of(
    config: Config, featurizer: Featurizer
) -> tuple[TransformerFolder | None, Mapping[str, Any] | None]:
    """The transformer that a training begins with, and its shape; None: its network has another encoder.

    Raises:
        DataError, MissingExtraError: as ``TransformerFolder.open`` and ``shape_of``.
    """
    encoder, pieces = config.model.encoder, featurizer.pieces
    if not isinstance(encoder, PretrainedConfig) or pieces is None:
        return None, None
    folder = TransformerFolder.open(encoder.path)
    return folder, shape_of(folder, pieces)


def write_shape(folder: Path, encoder: Encoder) -> None:
    """Into a model folder, where the encoder is a transformer."""
    if isinstance(encoder, Pretrained):
        write_json(folder / SHAPE, encoder.shape)


def kept_shape(folder: Path, config: Config) -> Mapping[str, Any] | None:
    """What ``write_shape`` wrote; None: the encoder is no transformer.

    Raises:
        ModelError: as ``read_shape``.
    """
    return read_shape(folder) if isinstance(config.model.encoder, PretrainedConfig) else None


def read_shape(folder: Path) -> Mapping[str, Any]:
    """What ``shape_of`` gave, from a model folder.

    Raises:
        ModelError: it is missing or damaged.
    """
    path = folder / SHAPE
    shape = read_json(path, ModelError)
    lists = [shape.get(key) for key in ("before", "after")] if isinstance(shape, dict) else [None]
    if not all(isinstance(ids, list) and all(type(i) is int for i in ids) for ids in lists) or not isinstance(
        shape.get("architecture"), dict
    ):
        raise ModelError("describes no transformer", where=str(path))
    return shape  # type: ignore[no-any-return]


def fill(encoder: Pretrained, folder: TransformerFolder) -> None:
    """Give ``encoder`` the weights in ``folder``.

    Raises:
        DataError: they are damaged, or of another architecture than its config.json says.
    """
    library = extra(EXTRA, "the encoder 'pretrained'", lambda: importlib.import_module("transformers"))
    kind, where = type(encoder.transformer), str(folder.path)
    pooled = "add_pooling_layer" in inspect.signature(kind).parameters
    verbosity = library.logging.get_verbosity()
    library.logging.set_verbosity_error()
    library.logging.disable_progress_bar()
    try:
        with torch.random.fork_rng(devices=[]):
            loaded, about = kind.from_pretrained(
                folder.path,
                config=encoder.transformer.config,
                dtype=torch.float32,
                local_files_only=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # told below
                **({"add_pooling_layer": False} if pooled else {}),
            )
        misfits = sorted(about["mismatched_keys"])
        missing = [name for name in about["missing_keys"] if not name.startswith("pooler")]
        if not missing and not misfits:
            state = loaded.state_dict()
            encoder.transformer.load_state_dict(
                {name: state[name] for name in encoder.transformer.state_dict()}
            )
    except Exception as bad:  # the library has many ways to say that a file is damaged or does not fit
        reason = (str(bad).strip().splitlines() or [type(bad).__name__])[0]
        raise DataError(f"its weights cannot be read: {reason}", where=where) from None
    finally:
        library.logging.set_verbosity(verbosity)
    if misfits:
        raise _misfit(folder, *misfits[0])
    if missing:
        problem = (
            f"its weights lack {len(missing)} that its config.json asks for, such as {sorted(missing)[0]}"
        )
        raise DataError(problem, where=where, hint="are they of another architecture?")
