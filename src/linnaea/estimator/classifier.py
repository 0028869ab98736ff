"""TextClassifier: training and prediction as a scikit-learn estimator.

It trains as ``linnaea train`` does, without test documents; the run folder goes away unless it is asked for. Nothing is
copied from training to prediction but the model, which is also what pickles hold: as the bytes of its folder.

Shape letters: N documents, K classes, C categories.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import accuracy_score, f1_score
from sklearn.utils.validation import check_is_fitted

from linnaea.config.config import Config
from linnaea.decision.predictions import Predictions
from linnaea.estimator.fitting import Settings, fit_model
from linnaea.estimator.inputs import InputError, read_documents, value_errors
from linnaea.estimator.targets import SHAPES, Target, read_target
from linnaea.model.folder import load, save
from linnaea.model.model import CHUNK, SCORES, Model
from linnaea.ragged import Ragged
from linnaea.taxonomy.taxonomy import Taxonomy


class TextClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A text classifier over categories, flat or in a taxonomy, for scikit-learn's tools.

    X is a list, array or Series of texts (or of token lists, or of dictionaries with the fields of a JSON line). y is one
    of three, and ``predict`` gives back the same: one label a document; a list of labels a document; an indicator matrix
    (numpy, scipy.sparse, or a DataFrame whose columns are named by categories; back come arrays). Labels with the
    separator in them are paths. Ancestors are implied, and belong to what is predicted for lists.

    Args:
        config: a config file, its content, or a ``Config``: all that ``linnaea train`` takes. Its data files and
            ``run.dir`` are not used: documents come from X, a tenth of them serves as dev where dev is needed. What it says
            of the task holds; what it leaves open follows from y (a ``Config`` leaves nothing open).
        strategy: "linear", "joint", "per_category", ...; None: the config's; without a config "linear".
        preset: "fast", "balanced" or "best": strategy and decision as ``linnaea init`` chooses them for these documents.
        aim: of the preset: "micro_f1", "macro_f1" or "both"; None: both.
        settings: values of single keys of the config by dotted path, as ``{"training.epochs": 5}``; they act over the
            config and the preset.
        taxonomy: a file or a ``Taxonomy``; None: the config's, or read off the labels.
        separator: between the names of a path; None: the config's, "--".
        run_dir: keeps the run folder (config, history, model) there; None: in a temporary folder that goes away.
        random_state: seed of the run; None: the config's, which is 1.
        verbose: above 0 notes, warnings and epochs are printed to stderr.

    Attributes:
        classes_: what ``predict`` chooses from and the columns of ``predict_proba``: labels as y wrote them; the names
            of an indicator's columns, or their numbers.
        model_: the trained ``linnaea.Model``, whose ``save`` writes a folder for ``linnaea predict``.
        taxonomy_: its categories.
    """

    def __init__(
        self,
        config: Config | Mapping[str, Any] | Path | str | None = None,
        *,
        strategy: str | None = None,
        preset: str | None = None,
        aim: str | None = None,
        settings: Mapping[str, Any] | None = None,
        taxonomy: Taxonomy | Path | str | None = None,
        separator: str | None = None,
        run_dir: Path | str | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.config = config
        self.strategy = strategy
        self.preset = preset
        self.aim = aim
        self.settings = settings
        self.taxonomy = taxonomy
        self.separator = separator
        self.run_dir = run_dir
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any) -> Self:
        """Train.

        Raises:
            InputError: X or y does not hold; a ``ValueError``, as all that follow but ``RunError``.
            SettingsError: a parameter or a key of the config does not hold.
            RunError: the training failed.
        """
        with value_errors():
            self.model_, self._form = fit_model(Settings.of(self), X, y)
        self.classes_ = self._form.classes_K
        return self

    @property
    def taxonomy_(self) -> Taxonomy:
        """The categories of the model."""
        return self.model_.taxonomy

    def predict(self, X: Any) -> Any:
        """Labels in the shape that y had in ``fit``; of lists in the order of ``classes_``, so parents come first."""
        chosen, best_N = self._decided(X)
        return self._form.give_back(chosen, best_N)

    def predict_proba(self, X: Any) -> np.ndarray:
        """``[N, K]`` float32: the score of each class, by itself P(class); only classes without a taxonomy of which a
        document has exactly one add up to 1."""
        parts = [block[:, self._columns] for p in self._scored(X) for _, block in p.blocks()]
        return np.concatenate(parts) if parts else np.zeros((0, len(self.classes_)), dtype=np.float32)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Accuracy where documents have one label each, else micro-F1: of an indicator over its columns, of lists over all
        categories, where gold is closed under ancestors as in training. Labels that were not there in ``fit`` count
        as missed; where a taxonomy was given they are an error.

        Raises:
            InputError: X and y differ in length or in the shape of y, or hold no documents.
        """
        check_is_fitted(self)
        with value_errors():
            target, form = read_target(y), self._form
            if not len(target):
                raise InputError("no documents", where="y")
            if target.kind != form.kind:
                raise InputError(
                    f"was {SHAPES[form.kind]} in fit, and is {SHAPES[target.kind]} here", where="y"
                )
            chosen, best_N = self._decided(X)
            if len(chosen) != len(target):
                raise InputError(f"{len(chosen)} documents in X, labels of {len(target)} in y")
            if target.kind == "lists":
                return self._micro_f1(chosen, target, sample_weight)
            predicted = form.give_back(chosen, best_N)
            if target.values_N is not None:
                return float(
                    accuracy_score(form.canonical(target.values_N), predicted, sample_weight=sample_weight)
                )
            if target.matrix is None or target.matrix.shape != predicted.shape:
                raise InputError(f"an indicator of {len(self.classes_)} columns was given in fit", where="y")
            if target.names not in (None, tuple(self.classes_.tolist())):
                raise InputError(
                    "its columns have other names, or stand in another order, than in fit", where="y"
                )
            gold = target.matrix if form.sparse else target.matrix.toarray()
            options = {"average": "micro", "zero_division": 0.0, "sample_weight": sample_weight}
            return float(f1_score(gold, predicted, **options))

    def _micro_f1(self, chosen: Ragged, target: Target, sample_weight: Any) -> float:
        gold, missed_N = self._form.gold(target.rows)
        count = len(self.taxonomy_)
        keys = np.intersect1d(chosen.rows * count + chosen.values, gold.rows * count + gold.values)
        hits_N = np.bincount(keys // count, minlength=len(chosen))
        weight_N = np.ones(len(chosen)) if sample_weight is None else np.asarray(sample_weight, dtype=float)
        both = float(weight_N @ (chosen.lengths_N + gold.lengths_N + missed_N))
        return float(2 * (weight_N @ hits_N) / both) if both else 0.0

    @property
    def _columns(self) -> np.ndarray:
        return self._form.columns_K

    def _decided(self, X: Any) -> tuple[Ragged, np.ndarray]:
        """Categories of each document, and its best class."""
        chosen, best = [Ragged.from_rows([])], [np.zeros(0, dtype=np.int64)]
        for predictions in self._scored(X, ready=False):
            chosen.append(self.model_.decide(predictions).chosen)
            scored = self.model_.decider.scored(predictions) if self._form.kind == "one" else None
            best += [] if scored is None else [b[:, self._columns].argmax(1) for _, b in scored.blocks()]
        return Ragged.concatenate(chosen), np.concatenate(best)

    def _scored(self, X: Any, *, ready: bool = True) -> Iterator[Predictions]:
        """Scores of the documents, some at a time; ready: as they are decided, calibrated and all."""
        check_is_fitted(self)
        model: Model = self.model_
        with value_errors():
            documents = read_documents(X, model.config.data)
        step = max(1, min(CHUNK, SCORES // len(model.taxonomy)))
        for start in range(0, len(documents), step):
            predictions = model.scorer.score(model.featurizer.encode(documents[start : start + step]))
            yield model.decider.scored(predictions) if ready else predictions

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array = tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.classifier_tags.multi_label = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if isinstance(state.get("model_"), Model):
            state["model_"] = _packed(state["model_"])
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "model_" in state:
            state = {**state, "model_": _unpacked(*state["model_"])}
        super().__setstate__(state)


def _packed(model: Model) -> tuple[dict[str, bytes], list[str]]:
    """A model folder as bytes by file, and the plug-ins that it needs."""
    with tempfile.TemporaryDirectory(prefix="linnaea-") as place:
        folder = Path(place) / "model"
        save(model, folder)
        files = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    return files, list(model.config.plugins)


def _unpacked(files: Mapping[str, bytes], plugins: list[str]) -> Model:
    with tempfile.TemporaryDirectory(prefix="linnaea-") as folder:
        for name, content in files.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return load(folder, plugins)
