"""Transformers of the library ``transformers``: built from their settings alone, with our dropout.

Nothing is fetched, no file is read and no code but that of the library is run.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from linnaea.config.encoders_pretrained import ARCHITECTURES
from linnaea.errors import ConfigError, MissingExtraError
from linnaea.nn.layers.dropout import Dropout

PATH = "model.encoder.path"
# Of a config.json: what would change how code is found or numbers are kept, or says nothing here.
_NOT_TAKEN = (
    "auto_map",
    "quantization_config",
    "dtype",
    "torch_dtype",
    "architectures",
    "transformers_version",
)
# Attention weights are never dropped: their masks would come from torch's generator.
_ATTENTION_DROPOUT = ("attention_probs_dropout_prob", "attention_dropout")


def build_transformer(architecture: Mapping[str, Any]) -> Any:
    """The transformer that ``architecture`` (a config.json) describes, with fresh weights, without a pooler.

    Raises:
        MissingExtraError: ``transformers`` is not installed.
        ConfigError: it is none of ``ARCHITECTURES``, or its settings do not hold.
    """
    name = architecture.get("model_type")
    if name not in ARCHITECTURES:
        raise ConfigError(f"the architecture {name!r} is not among those that are read", where=PATH)
    try:
        transformers = importlib.import_module("transformers")
    except ImportError as missing:
        raise MissingExtraError.for_extra("transformers", "the encoder 'pretrained'") from missing
    try:
        config = transformers.CONFIG_MAPPING[name](**taken(architecture))
        for key in _ATTENTION_DROPOUT:
            if hasattr(config, key):
                setattr(config, key, 0.0)
        kind = transformers.MODEL_MAPPING[type(config)]
        pooled = "add_pooling_layer" in inspect.signature(kind).parameters
        model = kind(config, add_pooling_layer=False) if pooled else kind(config)
    except Exception as bad:  # whatever the library makes of settings that it did not expect
        problem = f"describes no {name} that can be built: {type(bad).__name__}: {bad}"
        raise ConfigError(f"its config.json {problem}", where=PATH) from None
    if getattr(model, "pooler", None) is not None:
        model.pooler = None
    _replace_dropout(model)
    return model.float()


def taken(architecture: Mapping[str, Any]) -> dict[str, Any]:
    """What of a config.json describes the transformer's shape."""
    return {
        key: value
        for key, value in architecture.items()
        if key not in _NOT_TAKEN and not key.startswith("_") and "attn_implementation" not in key
    }


def _replace_dropout(model: nn.Module) -> None:
    """Dropout whose masks follow from seed, step and document in place of torch's."""
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Dropout):
                # DeBERTa drops relative positions, which belong to no document.
                setattr(module, name, Dropout(0.0 if name == "pos_dropout" else child.p))


def positions(model: Any) -> int:
    """How many pieces, special tokens included, it reads at once."""
    for name, table in model.named_modules():
        # RoBERTa and its kin count positions from behind the one that stands for padding.
        if (
            name.endswith("position_embeddings")
            and isinstance(table, nn.Embedding)
            and table.padding_idx is not None
        ):
            return table.num_embeddings - table.padding_idx - 1
    return int(model.config.max_position_embeddings)


def layers(model: Any, where: str) -> tuple[str, nn.ModuleList]:
    """Its layers from the bottom up, and their name.

    Raises:
        ConfigError: they share their weights.
    """
    count = model.config.num_hidden_layers
    for name, module in model.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return name, module
    problem = f"the layers of this transformer ({model.config.model_type}) share their weights"
    raise ConfigError(problem, where=where, hint="leave it out")


def recompute_layers(model: Any) -> None:
    """Keep the inputs of layers only, and compute the rest again in the backward pass.

    Raises:
        ConfigError: this kind of transformer cannot.
    """
    if not model.supports_gradient_checkpointing:
        problem = f"a transformer of the kind {model.config.model_type!r} cannot do it"
        raise ConfigError(problem, where="model.encoder.gradient_checkpointing", hint="leave it out")
    found = [module for module in model.modules() if isinstance(module, Dropout)]
    model._set_gradient_checkpointing(True, functools.partial(_recomputed, found))


def _recomputed(dropouts: Sequence[Dropout], layer: Callable[..., Any], *inputs: Any) -> Any:
    # The second pass comes when the batch's keys are gone: it draws the masks of the first.
    keys = [module.keys_B for module in dropouts]

    def contexts() -> tuple[contextlib.AbstractContextManager, contextlib.AbstractContextManager]:
        return contextlib.nullcontext(), with_keys(dropouts, keys)

    return checkpoint(layer, *inputs, use_reentrant=False, context_fn=contexts)


@contextlib.contextmanager
def with_keys(dropouts: Sequence[Dropout], keys: Sequence[Tensor | None]) -> Iterator[None]:
    """While it is open, each of ``dropouts`` draws by its own of ``keys``."""
    before = [module.keys_B for module in dropouts]
    try:
        for module, keys_B in zip(dropouts, keys, strict=True):
            module.keys_B = keys_B
        yield
    finally:
        for module, keys_B in zip(dropouts, before, strict=True):
            module.keys_B = keys_B
