"""What y is about: the kind of task, the categories, which of them each column or label means.

Shape letters: K classes (labels that ``predict`` can give), C categories.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from linnaea.commands.delimiter import find_paths
from linnaea.config.task import TaskConfig
from linnaea.corpus.labels import LabelError, LabelResolver, read_off
from linnaea.corpus.records import received
from linnaea.estimator.inputs import InputError, SettingsError, texts_of
from linnaea.estimator.targets import Form, Target, written_forms
from linnaea.taxonomy.readers import read_taxonomy
from linnaea.taxonomy.taxonomy import Taxonomy


def form_of(target: Target, value: dict[str, Any], taxonomy: Taxonomy | None) -> Form:
    """How labels and decisions of ``target`` are read and given back; ``value`` learns what task it is.

    Args:
        value: a config as a dictionary, without what y decides.
        taxonomy: given from Python; None: of the config, or read off the labels.

    Raises:
        ConfigError, DataError: y and the config or the taxonomy do not go together.
    """
    task = _task(target, value, taxonomy is not None)
    strict = taxonomy is not None or task.taxonomy is not None
    if taxonomy is None:
        if task.taxonomy is not None:
            taxonomy = read_taxonomy(task.taxonomy, task.taxonomy_format, task.separator)
        else:
            taxonomy = read_off(_names(target, task), task)
    resolver = LabelResolver.for_task(taxonomy, task)
    if target.matrix is not None:
        form = _of_indicator(target, task, resolver, strict)
    elif target.values_N is not None and task.flat and not strict:
        classes_K = np.unique(target.values_N)
        form = Form("one", classes_K, np.arange(len(classes_K)), resolver, strict)
    else:
        _check_known(target, resolver)
        forms = np.array(written_forms(target, resolver))
        form = Form(target.kind, forms, np.arange(len(taxonomy)), resolver, strict, paths=True)
    if target.kind == "one" and not task.flat:
        columns = {resolver.find(label) for label in target.written}
        _one_path(value, task, columns, taxonomy)
    return form


def _task(target: Target, value: dict[str, Any], given: bool) -> TaskConfig:
    part = value.setdefault("task", {})
    if isinstance(part, dict) and "type" not in part:
        separator = str(part.get("separator", TaskConfig().separator))
        given = given or part.get("taxonomy") is not None
        flat = "multiclass" if target.kind == "one" else "multilabel"
        paths = any(separator in label for label in target.written)
        if not paths and not given and part.get("separator") is not None:
            raise InputError(f"{separator!r} stands in no label", where="separator")
        if not paths and not given and (likely := find_paths(set(target.written))) is not None:
            warnings.warn(likely.told("separator="), UserWarning, stacklevel=2)
        part["type"] = "hierarchical" if given or paths else flat
    task = TaskConfig.read(part, "task")
    if target.kind == "one" and task.type in ("binary", "multilabel"):
        problem = f"y has one label a document, which is no {task.type} task"
        hint = 'leave it out, or give lists of labels: [["a"], ["b"]]'
        raise SettingsError(problem, where="task.type", hint=hint)
    return task


def _names(target: Target, task: TaskConfig) -> list[str]:
    """The labels to read categories off, in an order that has nothing to do with that of the documents."""
    if target.values_N is not None and task.flat:
        return texts_of(np.unique(target.values_N).tolist())
    if target.matrix is not None:
        return texts_of(range(target.matrix.shape[1]) if target.names is None else target.names)
    return target.written


def _of_indicator(target: Target, task: TaskConfig, resolver: LabelResolver, strict: bool) -> Form:
    assert target.matrix is not None  # it is an indicator
    count, categories = target.matrix.shape[1], len(resolver.taxonomy)
    if target.names is None and strict:
        if count != categories:
            problem = f"{count} columns without names, and {categories} categories"
            hint = "give a DataFrame whose columns are named by categories"
            raise InputError(problem, where="y", hint=hint)
        columns_K = np.arange(count)
    else:
        columns_K = np.array([_column(name, resolver) for name in _names(target, task)])
        if len(set(columns_K.tolist())) < count:
            raise InputError("two columns are of the same category", where="y")
    classes_K = np.arange(count) if target.names is None else np.array(target.names)
    return Form("indicator", classes_K, columns_K, resolver, strict, sparse=target.sparse)


def _column(name: str, resolver: LabelResolver) -> int:
    try:
        return resolver.find(name)
    except LabelError as error:
        raise InputError(error.message, where="y, its columns", hint=error.hint) from None


def _check_known(target: Target, resolver: LabelResolver) -> None:
    """Refuse labels that are no strings, or unknown ones at the first document that has one."""
    rows: Sequence[Any] = target.rows
    if target.values_N is not None:
        rows = [(value,) for value in target.values_N.tolist()]
        if rows and not isinstance(rows[0][0], str):
            problem = f"categories are called by strings, and y holds {received(rows[0][0])}"
            raise InputError(problem, where="y[0]")
    unknown = {label for label in target.written if not resolver.knows(label)}
    for place, row in enumerate(rows if unknown else ()):
        for label in unknown.intersection(row):
            try:
                resolver.find(label)
            except LabelError as error:
                raise InputError(error.message, where=f"y[{place}]", hint=error.hint) from None


def _one_path(value: dict[str, Any], task: TaskConfig, columns: set[int], taxonomy: Taxonomy) -> None:
    """One label a document is one path: it is decided as one, down to a leaf where all labels are leaves."""
    value["task"].setdefault("paths", "one")
    decision = value.setdefault("decision", {})
    if isinstance(decision, dict) and "decoding" not in decision and task.closure != "none":
        leaves = bool(taxonomy.leaves_C[sorted(columns)].all())
        decision["decoding"] = {"type": "one_path", "to": "leaf" if leaves else "any"}


def labels_of(target: Target, form: Form) -> list[tuple[str, ...]]:
    """The labels of each document, as the taxonomy knows them."""
    ids = form.resolver.taxonomy.ids
    if target.matrix is not None:
        names = [ids[column] for column in form.columns_K.tolist()]
        offsets, columns = target.matrix.indptr.tolist(), target.matrix.indices.tolist()
        return [tuple(names[c] for c in columns[start:end]) for start, end in pairwise(offsets)]
    if target.values_N is None:
        return list(target.rows)
    if form.paths:
        return [(str(value),) for value in target.values_N.tolist()]
    return [(ids[place],) for place in np.searchsorted(form.classes_K, target.values_N).tolist()]
