"""What a training says of calibrated scores and of promises, and what it refuses before it begins."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from linnaea.config.config import Config
from linnaea.config.decoding import NoDecodingConfig
from linnaea.decision.decider import Decider, build_decoder, prepared
from linnaea.decision.enough import check_promise
from linnaea.decision.predictions import Predictions
from linnaea.metrics.calibration import reliability
from linnaea.model.model import Model
from linnaea.ragged import Ragged
from linnaea.reporter import Reporter
from linnaea.text.store import Corpus


def check_held_out(config: Config, corpus: Corpus) -> None:
    """Refuse a promise that the held-out documents of ``corpus`` are too few for.

    Raises:
        ConfigError: they are too few.
    """
    if corpus.train.labels is not None:
        dev = None if corpus.dev is None else corpus.dev.labels
        check_promise(config, corpus.train.labels, dev, len(corpus.taxonomy))


def tell_decider(decider: Decider, reporter: Reporter) -> None:
    """Whose scores have a curve of their own, and what is promised."""
    calibration, promise = decider.calibration, decider.promise
    if calibration is not None and not calibration.rows:
        own, every = len(calibration.own), len(decider.taxonomy)
        reporter.note(f"{calibration.config.type}: {own} of {every} categories are calibrated by themselves")
    if promise is None:
        return
    decided = int(np.isfinite(decider.thresholds_C).sum())
    holds = promise.exact and not promise.cut and not promise.followed
    (reporter.note if holds else reporter.warn)(f"promised: {promise.told(decided)}")


def tell_reliability(
    model: Model, predictions: Predictions, gold: Ragged, split: str, reporter: Reporter
) -> None:
    """How far scores are from shares before and after calibration; noted in the model's facts."""
    calibration = model.decider.calibration
    if calibration is None or not len(predictions):
        return
    after = prepared(predictions, build_decoder(NoDecodingConfig(), model.taxonomy), None, calibration)
    values = {
        name: asdict(reliability(scores, gold))
        for name, scores in (("before", predictions), ("after", after))
    }
    model.facts["calibration"] = {"split": split, **values}
    told = ", ".join(
        f"{label} {values['before'][key]:.4f} -> {values['after'][key]:.4f}"
        for key, label in (("ece", "ECE"), ("classwise_ece", "classwise ECE"), ("brier", "Brier"))
    )
    reporter.note(f"{calibration.config.type} on {split}: {told}")
