"""What no part can check alone: combinations across the parts, and defaults that depend on another part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from linnaea.config import ensemble, percategory
from linnaea.config.embedders import TableConfig
from linnaea.config.encoders_pretrained import OwnEmbedding, PretrainedConfig
from linnaea.config.objective import BCEConfig, SoftmaxConfig
from linnaea.config.part import Part, Span, shown
from linnaea.config.promises import promises, with_promise
from linnaea.config.task import InputConfig, NgramConfig, PretrainedTokenizerConfig, idle_inputs
from linnaea.config.vectors import idle_keys, with_vectors
from linnaea.errors import ConfigError

if TYPE_CHECKING:
    from linnaea.config.config import Config


def resolve(config: Config) -> Config:
    """``config`` with the defaults that depend on other parts.

    Raises:
        ConfigError: two parts do not go together, or a key does nothing beside the others.
    """
    config = percategory.resolve(config)
    if config.training.strategy.network:
        config = _with_loss(config)
        config = _with_own_tokenizer(_with_own_embedding(config))
        _check_objective(config)
        _check_head(config)
        config = with_vectors(config)
        _check_spans(config)
    else:
        _check_idle(config)
        if not isinstance(config.training.strategy, ensemble.EnsembleStrategyConfig):
            config = config.model_copy(update={"input": _linear_input(config.input)})
            config = _without_baseline(config)
    _check_decision(config)
    return ensemble.resolve(_with_tuning(with_promise(_with_cap(config))))


# What of "run" acts on networks only.
_NETWORK_RUN = ("deterministic", "devices")


def _check_idle(config: Config) -> None:
    """Refuse what does nothing without a network."""
    problem = f"does nothing under the strategy {config.training.strategy.type!r}"
    for part in ("model", "objective"):
        if config.given(part):
            place = _given_key(part, getattr(config, part))
            raise ConfigError(problem, where=place, hint=f"leave {part} out")
    for key in _NETWORK_RUN:
        if config.run.given(key):
            raise ConfigError(problem, where=f"run.{key}", hint="leave it out")
    networks = isinstance(config.training.strategy, ensemble.EnsembleStrategyConfig)
    if config.run.device not in ("auto", "cpu") and not networks:
        raise ConfigError(f"{config.run.device!r} {problem}", where="run.device", hint="it works on the CPU")


def _given_key(where: str, value: object) -> str:
    """The dotted path of a key that was written in the part ``value``; ``where`` itself if none was."""
    while isinstance(value, Part) and value.model_fields_set:
        key = min(value.model_fields_set)
        where, value = f"{where}.{key}", getattr(value, key)
    return where


def _with_loss(config: Config) -> Config:
    if config.objective.loss is not None:
        return config
    alone = isinstance(config.training.strategy, percategory.PerCategoryStrategyConfig)
    loss = SoftmaxConfig() if config.task.type == "multiclass" and not alone else BCEConfig()
    return config.model_copy(update={"objective": config.objective.model_copy(update={"loss": loss})})


def _check_objective(config: Config) -> None:
    task, objective = config.task, config.objective
    if objective.loss is not None and objective.loss.scores == "softmax" and task.type != "multiclass":
        raise ConfigError(
            f"{objective.loss.type!r} is for exactly one label, not for a {task.type} task",
            where="objective.loss", hint='use "bce" or "focal_sigmoid"',
        )  # fmt: skip
    _check_loss(config)
    if objective.recursive is not None and task.taxonomy is None and task.flat:
        raise ConfigError(
            "needs a taxonomy with edges", where="objective.recursive_penalty", hint="set task.taxonomy"
        )
    stopping = config.training.early_stopping
    alone = isinstance(config.training.strategy, percategory.PerCategoryStrategyConfig)
    if stopping is not None and stopping.metric == "f1" and task.type != "binary" and not alone:
        hint = "did you mean 'micro_f1'?"
        raise ConfigError('"f1" is for binary tasks', where="training.early_stopping.metric", hint=hint)


def _check_loss(config: Config) -> None:
    """Refuse a loss over several categories where there is one, and a coherent one where gold is not."""
    task, loss = config.task, config.objective.loss
    if loss is None:
        return
    if loss.coherent and task.flat:
        problem = f"{loss.type!r} holds scores to a taxonomy, and a {task.type} task is flat"
        raise ConfigError(problem, where="objective.loss", hint='use "bce", or a hierarchical task')
    if loss.coherent and task.closure != "ancestors":
        problem = f"under {task.closure!r} gold may lack ancestors, which {loss.type!r} counts as decided"
        raise ConfigError(problem, where="task.closure", hint='use "ancestors", or another objective.loss')
    if loss.relative and task.type == "binary":
        problem = f"{loss.type!r} weighs categories against each other; a binary task has one"
        raise ConfigError(problem, where="objective.loss", hint='use "bce", "focal_sigmoid" or "asymmetric"')


def _check_head(config: Config) -> None:
    """Refuse a head that follows the taxonomy where the task has none."""
    head, task = config.model.head, config.task
    if head.needs_hierarchy and task.flat:
        problem = f"the head {head.type!r} follows the taxonomy, and a {task.type} task is flat"
        raise ConfigError(problem, where="model.head", hint='use "linear", or "type": "hierarchical" in task')


def _check_spans(config: Config) -> None:
    """Refuse windows and counts beyond the longest text that can come, or the longest token of the spelling."""
    read, embedder = config.input, config.model.embedder
    key = "max_characters" if "char" in read.features else "max_tokens"
    limit = getattr(read, key)
    if limit is not None:
        for where, part in (("model.embedder", embedder), ("model.encoder", config.model.encoder)):
            _check_span(where, part.spans, limit, f"input.{key}")
    if "spelling" in read.features and isinstance(embedder, TableConfig):
        most, place = read.spelling.max_characters, "input.spelling.max_characters"
        _check_span("model.embedder.spelling", embedder.spelling.spans, most, place, "tokens")


def _check_span(where: str, spans: dict[str, Span], limit: int, place: str, whose: str = "texts") -> None:
    for key, (size, what, per) in spans.items():
        least = (size - 1) * per + 1
        if least > limit:
            leaves = f", which leave {-(-limit // per)}" if per > 1 else ""
            problem = f"{size} {what} for {whose} of up to {limit} ({place}){leaves}"
            hint = f"set it to {-(-limit // per)} or less, or {place} to {least} or more"
            raise ConfigError(problem, where=f"{where}.{key}", hint=hint)


def _with_own_embedding(config: Config) -> Config:
    """No embedder before an encoder that reads ids itself."""
    encoder, model = config.model.encoder, config.model
    if not encoder.embeds:
        return config
    if model.given("embedder"):
        problem = f"does nothing here: the encoder {encoder.type!r} embeds by itself"
        raise ConfigError(problem, where=_given_key("model.embedder", model.embedder), hint="leave it out")
    return config.model_copy(update={"model": model.model_copy(update={"embedder": OwnEmbedding()})})


def _with_own_tokenizer(config: Config) -> Config:
    """A pretrained transformer brings its tokenizer and vocabulary, which serve nobody else."""
    encoder, read = config.model.encoder, config.input
    if not isinstance(encoder, PretrainedConfig):
        if isinstance(read.tokenizer, PretrainedTokenizerConfig):
            problem = f"'pretrained' goes with the encoder 'pretrained', not with {encoder.type!r}"
            raise ConfigError(problem, where="input.tokenizer")
        return config
    if read.features != ["token"]:
        problem = "the encoder 'pretrained' reads the pieces of its own tokenizer"
        raise ConfigError(problem, where="input.features", hint="leave it out")
    if read.given("vocabulary"):
        problem = "does nothing here: the tokenizer of the encoder 'pretrained' has a vocabulary of its own"
        raise ConfigError(problem, where="input.vocabulary", hint="leave it out")
    own = PretrainedTokenizerConfig(path=encoder.path)
    if read.given("tokenizer") and read.tokenizer != own:
        problem = f"the encoder 'pretrained' brings the tokenizer of {encoder.path}"
        raise ConfigError(problem, where="input.tokenizer", hint="leave it out")
    return config.model_copy(update={"input": read.model_copy(update={"tokenizer": own})})


def _check_decision(config: Config) -> None:
    task, decision = config.task, config.decision
    if task.type == "multiclass":
        if decision.given("threshold"):
            problem = "a multiclass task takes the best category: no threshold acts"
            raise ConfigError(problem, where="decision.threshold", hint="leave it out")
        if decision.top_k not in (None, 1):
            problem = "a multiclass task has exactly one category a document"
            raise ConfigError(problem, where="decision.top_k")
        if decision.calibration is not None and not decision.calibration.of_rows:
            problem = f"{decision.calibration.type!r} looks at one category at a time, and here one excludes the others"
            raise ConfigError(problem, where="decision.calibration", hint='use "temperature"')
    if task.flat and decision.decoding.type != "none":
        problem = f"a {task.type} task is flat: nothing to decode"
        raise ConfigError(problem, where="decision.decoding", hint="leave it out")
    # A cap of evaluation.keep stands as top_k in a config that was resolved before.
    top_k = decision.top_k if decision.top_k != config.evaluation.keep else None
    try:
        decision.decoding.check(task.gold_closure, top_k)
    except ConfigError as error:
        raise ConfigError(error.message, where=f"decision.{error.where}", hint=error.hint) from None


def _with_cap(config: Config) -> Config:
    """What was not kept cannot be decided, so ``keep`` is a cap too."""
    keep, top_k = config.evaluation.keep, config.decision.top_k
    if keep is not None and top_k is not None and top_k > keep:
        problem = f"{top_k} categories cannot be decided of the {keep} that evaluation.keep leaves"
        raise ConfigError(problem, where="decision.top_k", hint="raise evaluation.keep or leave it out")
    if keep is None or top_k is not None or config.task.type == "multiclass":
        return config
    return config.model_copy(update={"decision": config.decision.model_copy(update={"top_k": keep})})


def _with_tuning(config: Config) -> Config:
    """What is tuned is tuned on dev for networks, out of fold for linear models, unless told; all of it on the same."""
    parts = config.decision.held_out
    on = _agreed(config, "on")
    if on is None:
        on = "dev" if config.training.strategy.network or promises(config) else "cross"
    told = {key: part.folds for key, part in parts.items() if part.given("folds")}
    if on == "dev" and told:
        raise ConfigError('acts only with "on": "cross"', where=f"decision.{min(told)}.folds")
    update: dict[str, Any] = {"on": on}
    if told:
        update["folds"] = _agreed(config, "folds")
    changed = {key: part.model_copy(update=update) for key, part in parts.items()}
    return config.model_copy(update={"decision": config.decision.model_copy(update=changed)})


def _agreed(config: Config, key: str) -> Any:
    """What the parts that look at held-out scores say of ``key``; None: nothing.

    Raises:
        ConfigError: two say different things.
    """
    parts = config.decision.held_out
    said = {name: getattr(part, key) for name, part in parts.items() if part.given(key)}
    said = {name: value for name, value in said.items() if value is not None}
    if len(set(said.values())) > 1:
        problem = f"{shown(said['calibration'])}, and thresholds are found on {shown(said['threshold'])}"
        hint = "both look at the same scores: name it once"
        raise ConfigError(problem, where=f"decision.calibration.{key}", hint=hint)
    return next(iter(said.values()), None)


def _linear_input(part: InputConfig) -> InputConfig:
    """What the linear strategy reads unless told: whole texts, words and a dictionary of word pairs."""
    if isinstance(part.tokenizer, PretrainedTokenizerConfig):
        problem = "'pretrained' goes with the encoder 'pretrained', not with the linear strategy"
        raise ConfigError(problem, where="input.tokenizer")
    if {"char", "spelling"} & set(part.features):
        problem = "the linear strategy counts features, it reads no character sequence"
        raise ConfigError(problem, where="input.features", hint='use "char_ngram"')
    update: dict[str, Any] = {}
    if not part.given("features"):
        update["features"] = ["token", "ngram"]
        update["ngram"] = NgramConfig(n=2, buckets=0, min_count=2)
    if not part.given("max_tokens"):
        update["max_tokens"] = None
    return part.model_copy(update=update)


def _without_baseline(config: Config) -> Config:
    """The linear strategy is the baseline of the others, and has none itself."""
    if config.evaluation.given("baseline") and config.evaluation.baseline is not None:
        problem = (
            f"does nothing under the strategy {config.training.strategy.type!r}, which is the baseline itself"
        )
        raise ConfigError(problem, where="evaluation.baseline", hint="leave it out")
    return config.model_copy(update={"evaluation": config.evaluation.model_copy(update={"baseline": None})})


def without_idle(value: dict[str, Any], config: Config) -> dict[str, Any]:
    """Leave out of a dumped config what the strict checks would call idle when it is read again."""
    if not config.training.strategy.network:
        value["training"] = {"strategy": value["training"]["strategy"]}
        del value["model"], value["objective"]
        for key in _NETWORK_RUN:
            del value["run"][key]
    for key in idle_inputs(config.input.features):
        value["input"].pop(key, None)
    for key in idle_keys(config):
        value.get("model", {}).get("embedder", {}).pop(key, None)
    if isinstance(config.input.tokenizer, PretrainedTokenizerConfig):
        value["input"].pop("vocabulary", None)
    if config.training.strategy.network and config.model.encoder.embeds:
        del value["model"]["embedder"]
    for key in getattr(config.training.strategy, "idle", ()):
        value["training"]["strategy"].pop(key, None)
    for part in ("encoder", "head"):
        for key in getattr(getattr(config.model, part), "idle", ()):
            value.get("model", {}).get(part, {}).pop(key, None)
    for key in config.model.idle_encoder:
        value.get("model", {}).get("encoder", {}).pop(key, None)
    for key in ("ngram", "char_ngram"):
        if value["input"].get(key, {}).get("buckets"):
            value["input"][key].pop("min_count", None)
    if config.data.dev is not None:
        value["data"].pop("dev_fraction", None)
    if config.task.flat and config.task.closure != "none":
        value["task"].pop("closure", None)
    if config.task.type == "multiclass":
        value["decision"].pop("threshold", None)
    for key, tuned in config.decision.held_out.items():
        if tuned.on == "dev":
            value["decision"].get(key, {}).pop("folds", None)
    return value
