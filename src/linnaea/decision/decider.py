"""Decider: from scores to sets of categories, by thresholds and a decoder; saved with the model.

Shape letters: N documents, C categories.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from scipy.sparse import csr_array, vstack

from linnaea.config.decoding import Closure, DecodingConfig, NoDecodingConfig
from linnaea.config.outcome import DecisionConfig
from linnaea.config.part import shown
from linnaea.config.registry import decoders
from linnaea.decision.calibration import read_calibration
from linnaea.decision.curves import Calibration
from linnaea.decision.decoding import Decoding, chosen_scores
from linnaea.decision.followers import closure_of_paths, followed, weighed
from linnaea.decision.predictions import Decisions, Predictions
from linnaea.decision.rules import Promise
from linnaea.decision.saved import by_id, columns_of, inside
from linnaea.errors import ConfigError, ModelError, UsageError
from linnaea.ragged import Ragged
from linnaea.taxonomy.taxonomy import Taxonomy

MEGABYTES = 32  # of a block of dense scores; what a decoder needs besides is a few times that

Choice = Literal["thresholds", "best"]
_KEYS = ("taxonomy", "choice", "decoding", "top_k", "paths", "closure", "thresholds", "positives")


@dataclass(frozen=True, eq=False)
class Decider:
    """Decides for each document which categories it belongs to.

    In this order: the calibration, the cap (all but the ``top_k`` highest scores of a document are out; equal scores: the
    lower column stays), the decoder's part in scores (``max``), thresholds (score >= threshold), the decoder,
    and for ``paths: one`` the best single path. A score that was not kept, by the cap or in sparse
    predictions, is never decided.

    Attributes:
        thresholds_C: float64 in score space, as they are applied; +inf: never.
        choice: ``thresholds``, or ``best``: the one category with the highest score that may be decided
            (multiclass).
        positives_C: positives seen while tuning; None where nothing was tuned.
        calibration: what the scorer's scores go through first; None: nothing.
        promise: what the thresholds hold; None: nothing.
        follows: columns that are decided wherever all their parents are and nowhere else, under every decoder; they have
            no threshold (+inf) and weigh nothing.
    """

    taxonomy: Taxonomy
    thresholds_C: np.ndarray
    decoding: DecodingConfig = field(default_factory=NoDecodingConfig)
    top_k: int | None = None
    choice: Choice = "thresholds"
    paths: Literal["many", "one"] = "many"
    closure: Closure = "ancestors"
    positives_C: np.ndarray | None = None
    calibration: Calibration | None = None
    promise: Promise | None = None
    follows: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.thresholds_C.shape != (len(self.taxonomy),) or np.isnan(self.thresholds_C).any():
            raise ValueError(
                f"thresholds {self.thresholds_C.shape} for {len(self.taxonomy)} categories, or NaN among them"
            )

    def following(self, columns: Sequence[int]) -> Decider:
        """The same, with ``columns`` decided wherever all their parents are and nowhere else."""
        thresholds_C = self.thresholds_C.copy()
        thresholds_C[list(columns)] = np.inf
        return replace(self, thresholds_C=thresholds_C, follows=tuple(sorted(columns)))

    def decide(self, predictions: Predictions) -> Decisions:
        """The categories of each document, with the scores to print.

        Raises:
            ModelError: the scores are of another taxonomy.
            UsageError: a threshold lies below scores that were cut from sparse predictions.
        """
        if predictions.taxonomy is not self.taxonomy and predictions.taxonomy.digest != self.taxonomy.digest:
            raise ModelError("the scores are of another taxonomy than the thresholds")
        self._check_cut(predictions)
        decoder = build_decoder(self.decoding, self.taxonomy)
        thresholds_C = _applicable(self.thresholds_C, predictions.scores.dtype)
        if predictions.sparse or self.top_k is not None:
            thresholds_C = np.maximum(thresholds_C, np.finfo(thresholds_C.dtype).tiny)
        columns, lengths, scores = [], [], []
        for block_NC in prepared_blocks(predictions, decoder, self.top_k, self.calibration):
            chosen_NC, printed = self._choose(block_NC, thresholds_C, decoder)
            columns.append((np.flatnonzero(chosen_NC) % len(self.taxonomy)).astype(np.int32))
            lengths.append(chosen_NC.sum(axis=1, dtype=np.int64))
            scores.append(printed.astype(np.float32, copy=False))
        chosen = Ragged.from_lengths(_joined(columns, np.int32), _joined(lengths, np.int64))
        return Decisions(chosen, _joined(scores, np.float32), self.thresholds_C)

    def _choose(
        self, block_NC: np.ndarray, thresholds_C: np.ndarray, decoder: Decoding
    ) -> tuple[np.ndarray, np.ndarray]:
        if self.choice == "best":
            decided_NC = _best_only(block_NC, thresholds_C < np.inf)
            return decided_NC, block_NC[decided_NC]
        reached_NC, weighed_C = block_NC >= thresholds_C, weighed(self.thresholds_C, self.follows)
        decided_NC = followed(reached_NC, self.follows, self.taxonomy)
        chosen_NC = decoder.choose(block_NC, decided_NC, weighed_C, self.closure)
        if self.paths == "one":
            # An added ancestor counts as just decided: its own score adds nothing to the worth of a path.
            closure = closure_of_paths(self.closure, self.decoding)
            chosen_NC = decoder.single_path(block_NC, decided_NC, chosen_NC, weighed_C, closure)
        chosen_NC = followed(chosen_NC, self.follows, self.taxonomy)  # with the parents that were added
        return chosen_NC, chosen_scores(block_NC, reached_NC, chosen_NC, decoder)

    def _check_cut(self, predictions: Predictions) -> None:
        """Sparse predictions are exact only while all thresholds lie above what was cut from them."""
        scores = predictions.scores
        if isinstance(scores, np.ndarray) or self.choice == "best" or not len(predictions):
            return
        lengths_N = np.diff(scores.indptr)
        kept = int(lengths_N[0])
        capped = self.top_k is not None and self.top_k <= kept
        if capped or kept in (0, len(self.taxonomy)) or (lengths_N != kept).any():
            return  # a cut leaves equally many in every row
        lowest_N = scores.data.reshape(-1, kept).min(axis=1)
        row = int(lowest_N.argmax())
        reached_C = np.full((1, len(self.taxonomy)), lowest_N[row])
        if self.calibration is not None:
            reached_C = self.calibration.dense(reached_C)
        below_C = self.thresholds_C[reached_C[0] >= self.thresholds_C]
        if len(below_C):
            raise UsageError(
                f"only {kept} scores were kept, and the threshold {below_C.min():.3g} lies below what was cut",
                where=f"document {predictions.ids[row]}",
                hint=f"raise evaluation.keep, or set decision.top_k to {kept} or less",
            )

    def scored(self, predictions: Predictions) -> Predictions:
        """The scores that this decider's decoding works on: calibrated; under ``max`` the largest from there down."""
        return prepared(predictions, build_decoder(self.decoding, self.taxonomy), None, self.calibration)

    def table(self) -> dict[str, int]:
        """How many categories have a threshold of their own, share the global one, or have none."""
        never_C = np.isinf(self.thresholds_C)
        seen_C = np.zeros(len(never_C), dtype=np.int64) if self.positives_C is None else self.positives_C
        own_C = seen_C >= 3
        if self.promise is not None:
            own_C = ~np.isin(self.taxonomy.ids, self.promise.shared)
        own = int((~never_C & own_C).sum())
        return {"own": own, "shared": int((~never_C).sum()) - own, "never": int(never_C.sum())}

    def to_json(self) -> dict[str, Any]:
        """The content of a model's ``decision.json``; thresholds by category id, null = never."""
        ids = self.taxonomy.ids
        thresholds = [None if math.isinf(t) else t for t in self.thresholds_C.tolist()]
        seen = None if self.positives_C is None else dict(zip(ids, self.positives_C.tolist(), strict=True))
        return {
            "taxonomy": self.taxonomy.digest,
            "choice": self.choice,
            "decoding": {"type": self.decoding.type, **self.decoding.model_dump(mode="json")},
            "top_k": self.top_k,
            "paths": self.paths,
            "closure": self.closure,
            "thresholds": dict(zip(ids, thresholds, strict=True)),
            "positives": seen,
            "calibration": None if self.calibration is None else self.calibration.to_json(),
            "promise": None if self.promise is None else self.promise.to_json(),
            "follows": [ids[column] for column in self.follows],
        }

    @classmethod
    def from_json(cls, value: object, taxonomy: Taxonomy, where: str | None = None) -> Decider:
        """What :meth:`to_json` gave.

        Args:
            where: the file, for errors.

        Raises:
            ModelError: of another taxonomy, or broken.
        """
        if not isinstance(value, Mapping) or any(key not in value for key in _KEYS):
            missing = "not an object" if not isinstance(value, Mapping) else "a key is missing"
            raise ModelError(f"not the thresholds of a model: {missing}", where=where)
        if value["taxonomy"] != taxonomy.digest:
            raise ModelError(
                f"thresholds of another taxonomy: {shown(value['taxonomy'])}, not '{taxonomy.digest}'",
                where=where,
                hint="decision.json and taxonomy.json must come from the same model",
            )
        calibration = promise = None  # models of older versions have neither, and nothing that follows
        try:
            settings = DecisionConfig.read({"decoding": value["decoding"], "top_k": value["top_k"]})
            if value.get("calibration") is not None:
                place = inside(where, "calibration")
                calibration = read_calibration(value["calibration"], taxonomy, place)
        except ConfigError as error:
            raise ModelError(error.message, where=inside(where, error.where), hint=error.hint) from None
        if value.get("promise") is not None:
            promise = Promise.from_json(value["promise"], taxonomy, inside(where, "promise"))
        follows = columns_of(value.get("follows", []), taxonomy, inside(where, "follows"))
        options = {
            "choice": ("thresholds", "best"),
            "paths": ("many", "one"),
            "closure": ("ancestors", "path", "none"),
        }
        for key, known in options.items():
            if value[key] not in known:
                raise ModelError(
                    f"must be one of {', '.join(known)}, not {shown(value[key])}", where=inside(where, key)
                )
        thresholds_C = by_id(value["thresholds"], taxonomy, np.inf, inside(where, "thresholds"))
        positives_C = None
        if value["positives"] is not None:
            positives_C = by_id(value["positives"], taxonomy, None, inside(where, "positives")).astype(
                np.int64
            )
        return cls(
            taxonomy, thresholds_C, settings.decoding, settings.top_k,
            value["choice"], value["paths"], value["closure"], positives_C, calibration, promise,
            follows,
        )  # fmt: skip


def build_decoder(config: DecodingConfig, taxonomy: Taxonomy) -> Decoding:
    """The decoder of a config."""
    built: Decoding = decoders.build(config, taxonomy=taxonomy)
    return built


def prepared_blocks(
    predictions: Predictions, decoder: Decoding, top_k: int | None, calibration: Calibration | None = None
) -> Iterator[np.ndarray]:
    """Dense blocks of scores as thresholds see them: calibrated, capped, then through the decoder's part in scores."""
    caps = top_k is not None and top_k < predictions.kept  # else there is nothing to cut
    bent = calibration is not None and isinstance(predictions.scores, np.ndarray)
    if calibration is not None and not isinstance(predictions.scores, np.ndarray):
        scores = calibration.sparse(predictions.scores)
        predictions = Predictions(predictions.ids, predictions.taxonomy, scores)
    for _, block_NC in predictions.blocks(MEGABYTES):
        if bent and calibration is not None:
            block_NC = calibration.dense(block_NC)
        if caps and top_k is not None:
            block_NC = np.where(keep_best(block_NC, top_k), block_NC, block_NC.dtype.type(0))
        yield decoder.scores(block_NC)


def prepared(
    predictions: Predictions, decoder: Decoding, top_k: int | None, calibration: Calibration | None = None
) -> Predictions:
    """Predictions as thresholds see them; sparse where ``predictions`` are, or where a cap acts."""
    if top_k is None and calibration is None and type(decoder).scores is Decoding.scores:
        return predictions
    blocks = prepared_blocks(predictions, decoder, top_k, calibration)
    if top_k is not None or not isinstance(predictions.scores, np.ndarray):
        parts = [csr_array(block) for block in blocks]
        sparse = csr_array(vstack(parts, format="csr")) if parts else csr_array(predictions.scores.shape)
        return Predictions(predictions.ids, predictions.taxonomy, sparse)
    scores_NC, done = np.empty_like(predictions.scores), 0
    for block in blocks:
        scores_NC[done : done + len(block)] = block
        done += len(block)
    return Predictions(predictions.ids, predictions.taxonomy, scores_NC)


def keep_best(scores_NC: np.ndarray, k: int) -> np.ndarray:
    """``[N, C]`` bool: the ``k`` highest scores of each row; of equal ones the lower columns."""
    columns = scores_NC.shape[1]
    last_N1 = np.partition(scores_NC, columns - k, axis=1)[:, columns - k, None]
    kept_NC = scores_NC > last_N1
    equal_NC = scores_NC == last_N1
    open_N1 = k - kept_NC.sum(axis=1, keepdims=True)
    crowded_N = np.flatnonzero(equal_NC.sum(axis=1) > open_N1[:, 0])
    equal_NC[crowded_N] &= equal_NC[crowded_N].cumsum(axis=1) <= open_N1[crowded_N]
    return np.asarray(kept_NC | equal_NC)


def _best_only(scores_NC: np.ndarray, allowed_C: np.ndarray) -> np.ndarray:
    chosen_NC = np.zeros(scores_NC.shape, dtype=bool)
    if allowed_C.any():
        columns = np.flatnonzero(allowed_C)
        best_N = columns[scores_NC[:, columns].argmax(axis=1)]
        chosen_NC[np.arange(len(scores_NC)), best_N] = True
    return chosen_NC


def _applicable(thresholds_C: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The lowest values of the scores' type that are not below the thresholds: they decide alike."""
    with np.errstate(over="ignore"):
        rounded_C = thresholds_C.astype(dtype)
    return np.where(rounded_C < thresholds_C, np.nextafter(rounded_C, dtype.type(np.inf)), rounded_C)


def _joined(parts: list[np.ndarray], dtype: type) -> np.ndarray:
    return np.concatenate(parts) if parts else np.zeros(0, dtype=dtype)
