"""Settings of the strategy ensemble (module: ``strategies/ensemble.py``), and the config of each of its members."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from linnaea.config.part import Part
from linnaea.config.registry import strategies
from linnaea.config.task import InputConfig, PretrainedTokenizerConfig, idle_inputs
from linnaea.config.training import StrategyConfig
from linnaea.errors import ConfigError

if TYPE_CHECKING:
    from linnaea.config.config import Config

SECTIONS = ("input", "model", "objective", "training")
MEMBERS = ("joint", "linear")
SEEDS_APART = 1000  # the second seed of a member is so much above the first


class MemberConfig(Part):
    """One member: parts of a config, which stand in the place of those of the whole."""

    input: dict[str, Any] = Field(
        {}, description="what it reads, over the whole's `input`; the tokenizer is the same for all"
    )
    model: dict[str, Any] = Field({}, description="its network, as the config's `model`")
    objective: dict[str, Any] = Field({}, description="as the config's `objective`")
    training: dict[str, Any] = Field(
        {}, description="as the config's `training`; its strategy is joint or linear"
    )
    seeds: int = Field(1, ge=1, description="so many of it, each with a seed of its own")


@strategies.declare("ensemble")
class EnsembleStrategyConfig(StrategyConfig):
    """Several scorers whose log-odds are added up with weights found on held-out scores."""

    network: ClassVar[bool] = False
    blends: ClassVar[bool] = True
    members: list[MemberConfig] = Field(min_length=1, description="what is trained, one after another")
    blend: Literal["selected", "equal"] = Field(
        "selected",
        description="selected: members weigh as often as they help the average precision on held-out scores; "
        "equal: all the same",
    )


def resolve(config: Config) -> Config:
    """``config`` with its members' own parts in full, if it is an ensemble.

    Raises:
        ConfigError: a member's parts do not hold; the dotted path names the member.
    """
    strategy = config.training.strategy
    if not isinstance(strategy, EnsembleStrategyConfig):
        return config
    if config.evaluation.keep is not None:
        problem = "an ensemble adds up all scores of a document"
        raise ConfigError(problem, where="evaluation.keep", hint="leave it out")
    read = config.input
    members = []
    for number, member in enumerate(strategy.members):
        place = f"training.strategy.members[{number}]"
        built = _member(config, member, place)
        missing = _columns(built.input) - _columns(config.input)
        if missing:
            hint = f'add "{min(missing)}" to input.features of the whole'
            raise ConfigError(
                "reads what the whole does not keep", where=f"{place}.input.features", hint=hint
            )
        own = built.dump()
        sections = {key: own[key] for key in SECTIONS if key in own}
        members.append(member.model_copy(update=sections))
    if not read.given("max_tokens"):  # each member cuts for itself
        read = read.model_copy(update={"max_tokens": None})
    strategy = strategy.model_copy(update={"members": members})
    training = config.training.model_copy(update={"strategy": strategy})
    return config.model_copy(update={"training": training, "input": read})


def _columns(read: InputConfig) -> set[str]:
    """What is kept of a document for these features; keywords and topics always are."""
    features = set(read.features) - {"keyword", "topic"}
    return ({"char"} & features) | ({"token"} if features - {"char"} else set())


def member_configs(config: Config, *, once: bool = False) -> list[Config]:
    """The whole config of each member, one a seed (or ``once`` for all its seeds): what its strategy is handed."""
    strategy = config.training.strategy
    assert isinstance(strategy, EnsembleStrategyConfig)
    return [
        _member(config, member, f"training.strategy.members[{number}]", seed)
        for number, member in enumerate(strategy.members)
        for seed in range(1 if once else member.seeds)
    ]


def _member(config: Config, member: MemberConfig, where: str, seed: int = 0) -> Config:
    value = config.model_dump(mode="json", include={"task", "data", "run"})
    if config.task.flat:
        value["task"].pop("closure" if config.task.closure != "none" else "", None)
    if config.data.dev is not None:
        value["data"].pop("dev_fraction", None)
    alone = ("listeners", "devices", "deterministic")
    for key in (*alone, "device") if _kind(member) == "linear" else alone:
        del value["run"][key]
    value["run"]["seed"] = (config.run.seed + SEEDS_APART * seed) % 2**31
    value |= {key: getattr(member, key) for key in SECTIONS[1:] if getattr(member, key)}
    value["input"] = _input(config, member)
    value["evaluation"] = {"baseline": None}
    tuned = config.decision.tuned
    on: dict[str, Any] = {"on": "cross" if tuned is None or tuned.on is None else tuned.on}
    if on["on"] == "cross" and tuned is not None:
        on["folds"] = tuned.folds
    if config.task.type != "multiclass":
        value["decision"] = {"threshold": {"type": "global", **on}}
    else:  # which needs the same held-out scores
        value["decision"] = {"calibration": {"type": "temperature", **on}}
    kind = _kind(member)
    if kind not in MEMBERS and kind in strategies.names():
        problem = f"{kind!r} cannot be a member of an ensemble"
        raise ConfigError(problem, where=f"{where}.training.strategy", hint="joint and linear can")
    try:
        built = type(config).build(value)
    except ConfigError as error:
        within = (error.where or "").partition(".")[0] in SECTIONS
        raise ConfigError(
            error.message, where=f"{where}.{error.where}" if within else where, hint=error.hint
        ) from None
    if (
        isinstance(built.input.tokenizer, PretrainedTokenizerConfig)
        or built.input.tokenizer != config.input.tokenizer
    ):
        problem = "all members of an ensemble read the tokens of one tokenizer"
        raise ConfigError(problem, where=f"{where}.input.tokenizer", hint="set input.tokenizer of the whole")
    return built


def _input(config: Config, member: MemberConfig) -> dict[str, Any]:
    """What a member reads: its own keys, and those of the whole that act on its features."""
    whole = config.input.model_dump(mode="json", include=config.input.model_fields_set)
    features = member.input.get("features", whole.get("features", ["token"]))
    idle = idle_inputs(features) if isinstance(features, list) else []
    if _kind(member) == "linear" and "features" not in {**whole, **member.input}:  # it reads word pairs, too
        idle = []
    return {**{key: part for key, part in whole.items() if key not in idle}, **member.input}


def _kind(member: MemberConfig) -> object:
    """The name of its strategy, as far as it is one."""
    strategy = member.training.get("strategy", "joint")
    return strategy.get("type", "joint") if isinstance(strategy, dict) else strategy
