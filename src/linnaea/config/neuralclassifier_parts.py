"""NeuralClassifier's configs, the parts: what is read of a text, loss, training, decisions, and the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from linnaea.config.neuralclassifier_reading import Old, Places
from linnaea.config.part import shown
from linnaea.errors import ConfigError

_LOSSES = {
    "BCEWithLogitsLoss": ("bce", "bce"),
    "SigmoidFocalCrossEntropy": ("focal_sigmoid", "focal_sigmoid"),
    "SoftmaxCrossEntropy": ("softmax", "bce"),
    "SoftmaxFocalCrossEntropy": ("focal_softmax", "focal_sigmoid"),
}


def features(old: Old, name: str) -> list[str]:
    key = "feature.feature_names"
    names = old.words(key, ["token"])
    for feature in names:
        old_names = {"token": 0, "char": 0, "keyword": 0, "topic": 0}
        if feature not in old_names:
            Old({"feature": {"feature_names": feature}}).choose(key, old_names, "token")
    if name == "FastText":
        if "token" not in names:
            raise ConfigError("FastText reads tokens", where=key, hint='add "token"')
        features = ["token", *(["ngram"] if old.get("feature.token_ngram", 0) > 1 else [])]
        features += [f for f in ("keyword", "topic") if f in names]
    else:
        features = ["char"] if "token" not in names and "char" in names else ["token"]
    old.became(key, f"input.features = {', '.join(features)}")
    lost = [f for f in names if f not in features]
    if lost:
        old.warn(key, f"{name} never read {', '.join(lost)} here: passed over")
    return features


def input_part(old: Old, features: list[str]) -> dict[str, Any]:
    part: dict[str, Any] = {"features": features}
    lists = (
        ("token", "vocabulary", 2, 1_000_000),
        ("char", "char_vocabulary", 2, 150_000),
        ("keyword", "keyword_vocabulary", 0, 100),
        ("topic", "topic_vocabulary", 2, 100),
    )
    for feature, target, count, size in lists:
        counted, limited = f"feature.min_{feature}_count", f"feature.max_{feature}_dict_size"
        if feature in features:
            part[target] = {
                "min_count": max(1, old.get(counted, count)),
                "max_size": old.get(limited, size),
                "lowercase": False,
            }
            old.became(counted, f"input.{target}.min_count = {part[target]['min_count']}")
            old.became(limited, f"input.{target}.max_size = {part[target]['max_size']}")
        else:
            for key in (counted, limited):
                old.became(key, note=f"acts with the feature {feature} only")
    _lengths(old, features, part)
    _ngrams(old, features, part)
    return part


def _lengths(old: Old, features: list[str], part: dict[str, Any]) -> None:
    limits = (
        ("token", "feature.max_token_len", "max_tokens", 256),
        ("char", "feature.max_char_len", "max_characters", 1024),
    )
    for feature, key, target, default in limits:
        if feature in features:
            part[target] = old.take(key, default, f"input.{target}")
        else:
            old.became(key, note=f"acts with the feature {feature} only")
    key = "feature.max_char_len_per_token"
    old.became(key, note="no model read it")
    if old.has(key):
        old.warn(key, "is not kept: no model read the characters of a token, there or here")


def _ngrams(old: Old, features: list[str], part: dict[str, Any]) -> None:
    n, key = old.get("feature.token_ngram", 0), "feature.token_ngram"
    counted, limited = "feature.min_token_ngram_count", "feature.max_token_ngram_dict_size"
    if "ngram" in features:
        part["ngram"] = {"n": n, "buckets": 0, "min_count": max(1, old.get(counted, 0))}
        old.became(key, f"input.ngram.n = {n}", "a dictionary, as there: buckets = 0")
        old.became(counted, f"input.ngram.min_count = {part['ngram']['min_count']}")
        old.became(limited, note="not limited: min_count is the limit")
        if old.has(limited):
            old.warn(limited, "is not kept: n-grams are limited by input.ngram.min_count alone")
        return
    old.became(key, note="none" if n < 2 else "acts with FastText only")
    for key in (counted, limited):
        old.became(key, note="acts with token_ngram only")


def objective(old: Old, task: dict[str, Any]) -> dict[str, Any]:
    key, single = "train.loss_type", task["type"] == "multiclass"
    default = "SoftmaxCrossEntropy" if single else "BCEWithLogitsLoss"
    exclusive, independent = old.choose(key, _LOSSES, default)
    loss = exclusive if single else independent
    old.became(key, f"objective.loss = {loss}")
    if loss != exclusive:
        written = old.get(key, default)
        old.warn(key, f"{written} is for exactly one label a document: {loss} here (the old program stopped)")
    # The old program weighed positives by a quarter, whatever was set.
    part: dict[str, Any] = {"loss": {"type": loss, "alpha": 0.25} if loss == "focal_sigmoid" else loss}
    key = "task_info.hierar_penalty"
    if old.get("task_info.hierarchical", False):
        part["recursive_penalty"] = old.take(key, 1e-6, "objective.recursive_penalty")
    else:
        old.became(key, note="acts where hierarchical is true only")
    return part


def training(old: Old, task: dict[str, Any]) -> dict[str, Any]:
    epochs = old.take("train.num_epochs", 50, "training.epochs", "all of them, the best on dev is kept")
    # Its micro-F1 watches argmax there; here a fixed threshold of 0 would decide everything while training.
    metric = "loss" if task.get("paths") == "one" else "micro_f1"
    part: dict[str, Any] = {
        "epochs": epochs,
        "batch_size": old.take("train.batch_size", 64, "training.batch_size"),
        "early_stopping": {"metric": metric, "patience": max(1, epochs)},
        "optimizer": _optimizer(old),
    }
    clip = old.get("train.clip_gradients", 0.0)
    if clip > 0:
        part["gradient_clip"] = clip
        old.became(
            "train.clip_gradients",
            f"training.gradient_clip = {clip}",
            "of the norm; it acts here, there it did not",
        )
    else:
        old.became("train.clip_gradients", note="none")
    rate = old.get("train.decay_rate", 1.0)
    if rate != 1.0:
        steps = old.take("train.decay_steps", 1000, "training.schedule.steps")
        part["schedule"] = {"type": "exponential", "rate": rate, "steps": steps}
        old.became(
            "train.decay_rate",
            f"training.schedule.rate = {rate}",
            "exponential; it acts here, there it did not",
        )
    else:
        old.became("train.decay_rate", "training.schedule = constant")
        old.became("train.decay_steps", note="acts with a decay_rate below 1 only")
    old.became("train.start_epoch", note="epochs are counted from 1; --resume goes on with a run")
    for key in ("sampler", "num_sampled", "eval_train_data"):
        old.idle(f"train.{key}", "never did anything, there or here")
    return part


def _optimizer(old: Old) -> dict[str, Any]:
    at, key = "training.optimizer", "optimizer.optimizer_type"
    kind = old.choose(key, {"Adam": "adam", "Adadelta": "adadelta", "BERTAdam": "adamw"}, "Adam")
    old.became(key, f"{at}.type = {kind}", "no warm-up: there it was never on" if kind == "adamw" else "")
    part: dict[str, Any] = {
        "type": kind,
        "learning_rate": old.take("optimizer.learning_rate", 0.008, f"{at}.learning_rate"),
    }
    settings = (("adadelta_decay_rate", "rho", 0.95), ("adadelta_epsilon", "eps", 1e-8))
    for name, target, default in settings:
        if kind == "adadelta":
            part[target] = old.take(f"optimizer.{name}", default, f"{at}.{target}")
        else:
            old.became(f"optimizer.{name}", note="acts with Adadelta only")
    decay = old.get("train.l2_lambda", 0.0)
    if kind == "adamw":
        part |= {"eps": 1e-6, "weight_decay": 0.0}
    if decay:
        part["weight_decay"] = decay
        old.became("train.l2_lambda", f"{at}.weight_decay = {decay}", "it acts here, there it did not")
    else:
        old.became("train.l2_lambda", note="none")
    return part


def outcome(old: Old, task: dict[str, Any]) -> dict[str, Any]:
    parts: dict[str, Any] = {}
    threshold, best = old.get("eval.threshold", 0.5), "the best category is taken"
    if task["type"] == "multiclass":
        old.became("eval.threshold", note=best)
        old.became("eval.top_k", note=best)
    else:
        top_k = old.take("eval.top_k", 100, "decision.top_k")
        one = task.get("paths") == "one"
        # Of categories that all pass, the single path that is kept is the one with the highest score.
        parts["decision"] = {
            "threshold": {"type": "fixed", "value": 0.0 if one else threshold},
            "top_k": top_k,
        }
        value = parts["decision"]["threshold"]["value"]
        old.became("eval.threshold", f"decision.threshold.value = {value}", best if one else "")
    over = "seen" if old.get("data.generate_dict_using_all_json_files", False) else "train"
    parts["evaluation"] = {"metrics": [{"type": "neuralclassifier", "labels": "written", "over": over}]}
    old.became(
        "eval.is_flat", "evaluation.metrics = neuralclassifier", "metrics.json has both: micro, and levels"
    )
    old.became("eval.text_file", note="linnaea evaluate RUN FILE; data.test is scored at the end")
    old.became("eval.dir", note="metrics.json and predictions.jsonl lie in the run folder")
    old.became("eval.batch_size", note="sizes of batches while scoring are found by themselves")
    old.became("eval.model_dir", note="linnaea evaluate RUN FILE")
    return parts


def run(old: Old, places: Places) -> dict[str, Any]:
    part: dict[str, Any] = {}
    folder = old.get("checkpoint_dir", "")
    if folder:
        there = places.current / folder
        taken = there.is_dir() and any(there.iterdir()) and not (there / "config.json").is_file()
        part["dir"] = str(Path("runs") / Path(folder).name) if taken else folder
        note = "other files are in that folder" if taken else "checkpoints, model and results"
        old.became("checkpoint_dir", f"run.dir = {part['dir']}", note)
    old.became("model_dir", note="the model lies in the run folder")
    device = old.get("device", "cuda")
    kinds = ("cpu", "cuda")
    if device.partition(":")[0] not in kinds:
        Old({"device": device}).choose("device", dict.fromkeys(kinds), "cuda")
    part["device"] = "auto" if device.startswith("cuda") else "cpu"
    old.became(
        "device",
        f"run.device = {part['device']}",
        "a GPU where there is one" if part["device"] == "auto" else "",
    )
    _gpus(old, part)
    return part


def _gpus(old: Old, part: dict[str, Any]) -> None:
    key = "train.visible_device_list"
    written = old.value.get("train", {}).get("visible_device_list")
    text = str(written) if isinstance(written, int) and not isinstance(written, bool) else old.get(key, "0")
    numbers = [number.strip() for number in text.split(",") if number.strip()]
    old.known.add(key)
    if not all(number.isdecimal() for number in numbers):
        raise ConfigError(f"must be numbers of GPUs, not {shown(text)}", where=key, hint='like "0"')
    if part["device"] == "cpu" or not numbers:
        old.became(key, note="acts on a GPU only")
        return
    if numbers[0] != "0":
        part["devices"] = [int(numbers[0])]
    old.became(key, f"run.devices = {part.get('devices', 1)}")
    if len(numbers) > 1:
        old.warn(
            key, f"only the first GPU, {numbers[0]}, was ever used; run.devices = {len(numbers)} uses all"
        )
