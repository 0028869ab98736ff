"""NeuralClassifier's models: their names and settings as native encoders and embedders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from linnaea.config.neuralclassifier_reading import Old, Places
from linnaea.errors import ConfigError, suggest

Part = dict[str, Any]

CELLS = {"RNN": "rnn", "LSTM": "lstm", "GRU": "gru"}
POOLINGS = {"AVG": "mean", "Attention": "attention", "LastHidden": "last"}
ATTENTIONS = {"dot": "dot", "bilinear": "bilinear", "additive_projection": "additive"}
KINDS = {"light": "light", "advanced": "advanced"}
REGIONS = {"word_context": "word_context", "context_word": "context_word"}
DISTRIBUTIONS = {"uniform": "uniform", "normal": "normal"}


def _at(key: str) -> str:
    return f"model.encoder.{key}"


def _convolutions(old: Old, section: str) -> Part:
    sizes = old.numbers(f"{section}.kernel_sizes", [2, 3, 4])
    old.became(f"{section}.kernel_sizes", f"{_at('kernel_sizes')} = {sizes}")
    return {
        "kernel_sizes": sizes,
        "filters": old.take(f"{section}.num_kernels", 100, _at("filters")),
        "top_k": old.take(f"{section}.top_k_max_pooling", 1, _at("top_k")),
    }


def _cell(old: Old, section: str) -> str:
    cell = old.choose(f"{section}.rnn_type", CELLS, "GRU")
    old.became(f"{section}.rnn_type", f"{_at('cell')} = {cell}")
    return cell


def _recurrence(old: Old, section: str) -> Part:
    return {
        "cell": _cell(old, section),
        "hidden": old.take(f"{section}.hidden_dimension", 64, _at("hidden")),
        "layers": old.take(f"{section}.num_layers", 1, _at("layers")),
        "bidirectional": old.take(f"{section}.bidirectional", True, _at("bidirectional")),
    }


def _fasttext(old: Old) -> Part:
    return {"type": "fasttext"}


def _textcnn(old: Old) -> Part:
    return {"type": "textcnn", **_convolutions(old, "TextCNN")}


def _textrnn(old: Old) -> Part:
    part = {"type": "textrnn", **_recurrence(old, "TextRNN")}
    key = "TextRNN.doc_embedding_type"
    part["pooling"] = old.choose(key, POOLINGS, "Attention")
    old.became(key, f"{_at('pooling')} = {part['pooling']}")
    key = "TextRNN.attention_dimension"
    if part["pooling"] == "attention":
        part["attention"] = old.take(key, 16, _at("attention"))
    else:
        old.became(key, note="acts with Attention only")
    return part


def _hmcn(old: Old) -> Part:
    for key in ("TextRNN.doc_embedding_type", "TextRNN.attention_dimension"):
        old.became(key, note="not read: HMCN takes the mean of the states")
    return {"type": "textrnn", **_recurrence(old, "TextRNN"), "pooling": "mean"}


def _textrcnn(old: Old) -> Part:
    for key in ("TextRCNN.doc_embedding_type", "TextRCNN.attention_dimension"):
        old.became(key, note="not read: convolutions follow the recurrence")
    return {"type": "textrcnn", **_recurrence(old, "TextRCNN"), **_convolutions(old, "TextRCNN")}


def _drnn(old: Old) -> Part:
    return {
        "type": "drnn",
        "cell": _cell(old, "DRNN"),
        "hidden": old.take("DRNN.hidden_dimension", 5, _at("hidden")),
        "window": old.take("DRNN.window_size", 3, _at("window")),
        "bidirectional": old.take("DRNN.bidirectional", True, _at("bidirectional")),
        "dropout": old.take("DRNN.cell_hidden_dropout", 0.1, _at("dropout")),
    }


def _vdcnn(old: Old) -> Part:
    # The section is called VDCNN where the file follows the old documentation.
    section = "TextVDCNN" if "TextVDCNN" in old.value or "VDCNN" not in old.value else "VDCNN"
    note = "halves the text between levels, as there it did not"
    depth = old.take(f"{section}.vdcnn_depth", 9, _at("depth"), note)
    key = f"{section}.top_k_max_pooling"
    top_k, longest = old.take(key, 8, _at("top_k")), old.get("feature.max_token_len", 256)
    left = -(-longest // 8) if isinstance(longest, int) and longest > 0 else top_k
    if isinstance(top_k, int) and top_k > left:
        # There the text was never halved, so more were left.
        problem = f"{top_k} is not kept: of {longest} tokens halving leaves {left}, which are all kept"
        old.warn(key, problem)
        top_k = left
    return {"type": "vdcnn", "depth": depth, "top_k": top_k}


def _dpcnn(old: Old) -> Part:
    stride = old.get("DPCNN.pooling_stride", 2)
    old.became("DPCNN.pooling_stride", note="always 2")
    if stride != 2:
        old.warn("DPCNN.pooling_stride", f"{stride} is not kept: the text is halved, as in the paper")
    return {
        "type": "dpcnn",
        "kernel_size": old.take("DPCNN.kernel_size", 3, _at("kernel_size")),
        "filters": old.take("DPCNN.num_kernels", 16, _at("filters")),
        "blocks": old.take("DPCNN.blocks", 2, _at("blocks")),
    }


def _transformer(old: Old) -> Part:
    star = old.get("Transformer.use_star", True)
    kind = "star_transformer" if star else "transformer"
    old.became("Transformer.use_star", f"{_at('type')} = {kind}")
    key_dimension = old.take("Transformer.d_k", 32, _at("key_dimension"))
    values = old.get("Transformer.d_v", key_dimension)
    old.became("Transformer.d_v", note="values are as wide as keys")
    if values != key_dimension:
        old.warn("Transformer.d_v", f"{values} is not kept: values are as wide as keys, {key_dimension}")
    part: Part = {
        "type": kind,
        "layers": old.take("Transformer.n_layers", 1, _at("layers")),
        "heads": old.take("Transformer.n_head", 4, _at("heads")),
        "key_dimension": key_dimension,
        "dropout": old.take("Transformer.dropout", 0.1, _at("dropout")),
    }
    if star:
        old.became("Transformer.d_inner", note="Star-Transformer has no feed-forward part")
    else:
        part["inner"] = old.take("Transformer.d_inner", 128, _at("inner"))
    return part


def _attentive(old: Old) -> Part:
    section = "AttentiveConvNet"
    attention = old.choose(f"{section}.attention_type", ATTENTIONS, "bilinear")
    old.became(f"{section}.attention_type", f"{_at('attention')} = {attention}")
    kind = old.choose(f"{section}.type", KINDS, "advanced")
    old.became(f"{section}.type", f"{_at('kind')} = {kind}")
    return {
        "type": "attentive_convnet",
        "kind": kind,
        "attention": attention,
        "window": old.take(f"{section}.margin_size", 3, _at("window")),
        "hidden": old.take(f"{section}.hidden_size", 64, _at("hidden"), "its matrices are trained, as there they were not"),
    }  # fmt: skip


def _region(old: Old) -> Part:
    return {"type": "region", "merge": "sum"}


# For each model name: the section of its settings, and how they are read.
MODELS: dict[str, tuple[str | None, Callable[[Old], Part]]] = {
    "FastText": (None, _fasttext),
    "TextCNN": ("TextCNN", _textcnn),
    "TextRNN": ("TextRNN", _textrnn),
    "TextRCNN": ("TextRCNN", _textrcnn),
    "DRNN": ("DRNN", _drnn),
    "TextVDCNN": ("TextVDCNN", _vdcnn),
    "VDCNN": ("VDCNN", _vdcnn),
    "DPCNN": ("DPCNN", _dpcnn),
    "AttentiveConvNet": ("AttentiveConvNet", _attentive),
    "Transformer": ("Transformer", _transformer),
    "RegionEmbedding": (None, _region),
    "HMCN": ("HMCN", _hmcn),
}
SECTIONS = (*dict.fromkeys(section for section, _ in MODELS.values() if section), "VDCNN", "RCNN")


def model_name(old: Old) -> str:
    """The model that the file asks for.

    Raises:
        ConfigError: none, or an unknown one.
    """
    name = old.get("model_name", "")
    if name not in MODELS:
        known = "one of " + ", ".join(MODELS)
        if not name:
            near = next((key for key in old.value if suggest(str(key), ["model_name"])), None)
            hint = f"did you mean 'model_name' by {near!r}?" if near and near != "model_name" else known
            raise ConfigError("this key is missing", where="model_name", hint=hint)
        raise ConfigError(
            f"there is no model {name!r}", where="model_name", hint=suggest(name, MODELS) or known
        )
    return name


def encoder(old: Old, name: str) -> Part:
    """``model.encoder``."""
    part = MODELS[name][1](old)
    notes = {"Transformer": "by Transformer.use_star", "HMCN": "and model.head = hmcn"}
    old.became("model_name", f"model.encoder = {part['type']}", notes.get(name, ""))
    return part


def used_sections(old: Old, name: str) -> set[str]:
    """The sections that were read for the model."""
    return {key.partition(".")[0] for key in old.known if key.partition(".")[0] in SECTIONS}


def embedder(old: Old, name: str, places: Places, features: list[str]) -> Part:
    """``model.embedder``."""
    at = "model.embedder"
    kind = {"embedding": "lookup", "region_embedding": "region"}
    chosen = old.choose("embedding.type", kind, "embedding")
    note = ""
    if name == "RegionEmbedding" and chosen == "lookup":
        chosen, note = "region", "the model's point; with plain vectors it was a bag of words"
    if chosen == "region" and name == "FastText":
        chosen, note = "lookup", "FastText never used region embeddings"
    old.became("embedding.type", f"{at}.type = {chosen}", note)
    part: Part = {"type": chosen, "dimension": old.take("embedding.dimension", 64, f"{at}.dimension")}
    region = old.choose("embedding.region_embedding_type", REGIONS, "context_word")
    size = old.get("embedding.region_size", 5)
    if chosen == "region":
        part |= {"kind": region, "region_size": size}
        old.became("embedding.region_embedding_type", f"{at}.kind = {region}")
        old.became("embedding.region_size", f"{at}.region_size = {size}")
    else:
        for key in ("embedding.region_embedding_type", "embedding.region_size"):
            old.became(key, note="acts with region embeddings only")
    part["initializer"] = _initializer(old, f"{at}.initializer")
    part["dropout"] = old.take("embedding.dropout", 0.0, f"{at}.dropout")
    frozen = "FastText's other weights learn meanwhile" if name == "FastText" else ""
    epochs = old.take("train.num_epochs_static_embedding", 0, f"{at}.freeze_epochs", frozen)
    if epochs:
        part["freeze_epochs"] = epochs
    part |= _pretrained(old, places, at, features)
    if name == "Transformer":
        part["position"] = {"type": "sinusoid"}
    return part


def _pretrained(old: Old, places: Places, at: str, features: list[str]) -> Part:
    """Word vectors of tokens and of keywords."""
    part: Part = {}
    wanted = (("token", "pretrained"), ("keyword", "keyword_pretrained"))
    for feature, target in wanted:
        key = f"feature.{feature}_pretrained_file"
        name = old.get(key, "")
        if not name:
            old.became(key, note="none")
        elif feature not in features:
            old.idle(key, f"the model reads no {feature}s")
        else:
            part[target], where = places.find(name)
            old.became(key, f"{at}.{target} = {part[target]}", where)
    return part


def _initializer(old: Old, at: str) -> Part:
    kinds = {
        "uniform": {"type": "uniform"},
        "normal": {"type": "normal"},
        "xavier_uniform": {"type": "xavier", "distribution": "uniform"},
        "xavier_normal": {"type": "xavier", "distribution": "normal"},
        "kaiming_uniform": {"type": "kaiming", "distribution": "uniform"},
        "kaiming_normal": {"type": "kaiming", "distribution": "normal"},
        "orthogonal": {"type": "orthogonal"},
    }
    part: Part = dict(old.choose("embedding.initializer", kinds, "uniform"))
    old.became("embedding.initializer", f"{at} = {part['type']}" + (
        f" ({part['distribution']})" if "distribution" in part else ""
    ))  # fmt: skip
    fan = old.choose("embedding.fan_mode", {"FAN_IN": "in", "FAN_OUT": "out"}, "FAN_IN")
    values = {
        "uniform": ("embedding.uniform_bound", "bound", old.get("embedding.uniform_bound", 0.25)),
        "normal": ("embedding.random_stddev", "std", old.get("embedding.random_stddev", 0.01)),
        "kaiming": ("embedding.fan_mode", "fan", fan),
    }
    for kind, (key, target, value) in values.items():
        if kind == part["type"]:
            part[target] = value
            old.became(key, f"{at}.{target} = {value}")
        else:
            old.became(key, note=f"acts with the initializer {kind} only")
    return part
