"""Settings of the further metrics that come with the package (modules: ``metrics/``)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from linnaea.config.outcome import MetricConfig
from linnaea.config.registry import metrics


@metrics.declare("neuralclassifier")
class NeuralClassifierConfig(MetricConfig):
    """What NeuralClassifier's evaluator prints: micro rates, and macro-F1 as the F1 of averages, over its labels."""

    labels: Literal["written", "deepest"] = Field(
        "deepest",
        description="written: decisions and gold as they are, which under task.closure none are the written "
        "labels; deepest: first reduced to those above no other of the same document, as files of deepest paths "
        "are counted",
    )
    over: Literal["train", "seen"] = Field(
        "train",
        description="the labels that count: those of train; seen: also those of the scored documents, as where "
        "the dictionary was made of all files",
    )
