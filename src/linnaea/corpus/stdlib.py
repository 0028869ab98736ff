"""The built-in corpus: the docstrings of this Python's own standard library, for ``linnaea demo``: no
download, no licence.

A document is a public function, class or method: its own name (without module and class) and its docstring;
or a module: its docstring alone. Its labels are the modules that offer it: where it is defined and wherever
it is re-exported. The taxonomy is section -> module, from the table of contents of the library reference; a
module with fewer than ten documents is no category, its documents belong to the section.

Sources are parsed, not imported; only modules written in C are imported, those on a list of harmless ones.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import sysconfig
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import numpy as np

from linnaea.corpus.document import Document, Origin
from linnaea.corpus.labels import LabelResolver
from linnaea.corpus.sections import COMPILED, HOMES, LEFT_OUT, SECTIONS
from linnaea.corpus.split import stratified_split
from linnaea.taxonomy.taxonomy import Taxonomy

LEAST = 10  # documents that make a module a category
WORDS = 4  # of a docstring, at least

_Function = (ast.FunctionDef, ast.AsyncFunctionDef)


def builtin_corpus(seed: int = 0) -> tuple[Taxonomy, list[Document], list[Document], list[Document]]:
    """The taxonomy and the documents of train, dev and test: 70, 10 and 20 of a hundred, stratified.

    The same Python gives the same corpus.
    """
    taxonomy, documents = stdlib_documents()
    labels = LabelResolver(taxonomy).rows(document.labels or () for document in documents)
    rest, test = stratified_split(labels, len(taxonomy), 0.2, seed)
    train, dev = stratified_split(labels.take(rest), len(taxonomy), 0.125, seed)

    def chosen(rows: np.ndarray) -> list[Document]:
        return [documents[row] for row in rows.tolist()]

    return taxonomy, chosen(rest[train]), chosen(rest[dev]), chosen(test)


def stdlib_documents() -> tuple[Taxonomy, list[Document]]:
    """The taxonomy and all documents, in the order of their ids."""
    library = _Library.read(Path(sysconfig.get_path("stdlib")))
    found: dict[str, _Found] = {}
    for entry in library.entries():
        known = found.setdefault(entry.text, entry)
        known.homes.update(entry.homes)
    entries = sorted(found.values(), key=lambda entry: entry.id)
    sizes: dict[str, int] = {}
    for entry in entries:
        for home in entry.homes:
            sizes[home] = sizes.get(home, 0) + 1
    modules = {module: section for section, names in SECTIONS.items() for module in names}
    large = [module for module in modules if sizes.get(module, 0) >= LEAST]
    sections = [section for section in SECTIONS if any(sizes.get(module) for module in SECTIONS[section])]
    ids = [*sections, *large]
    taxonomy = Taxonomy.build(ids, ids, [*([()] * len(sections)), *((modules[module],) for module in large)])
    documents = []
    for entry in entries:
        labels = dict.fromkeys(
            home if home in taxonomy.index else modules[home] for home in sorted(entry.homes)
        )
        documents.append(Document(entry.id, entry.text, tuple(labels), origin=entry.origin))
    return taxonomy, documents


@dataclass
class _Found:
    """A docstring: the name it is found under, and the public modules that offer it."""

    id: str
    text: str
    homes: set[str]
    origin: Origin | None


@dataclass
class _Module:
    """What one module defines and imports.

    Attributes:
        docstring: the module's own.
        defined: by top-level name: ``(qualified name, docstring, line)`` of the object and its members.
        imported: top-level name -> (module, name).
        stars: modules that everything is imported from.
        offered: ``__all__``, or None.
    """

    name: str
    file: str | None = None
    docstring: str | None = None
    defined: dict[str, list[tuple[str, str, int]]] = field(default_factory=dict)
    imported: dict[str, tuple[str, str]] = field(default_factory=dict)
    stars: list[str] = field(default_factory=list)
    offered: set[str] | None = None


class _Library:
    """The modules of the standard library, parsed."""

    def __init__(self, modules: dict[str, _Module]) -> None:
        self.modules = modules
        self.public = {module for names in SECTIONS.values() for module in names}

    @classmethod
    def read(cls, folder: Path) -> _Library:
        modules = {}
        for name, path in _sources(folder):
            module = _parse(name, path)
            if module is not None:
                modules[name] = module
        for name in sorted(COMPILED - modules.keys()):
            compiled = _inspect(name)
            if compiled is not None:
                modules[name] = compiled
        return cls(modules)

    def home(self, name: str) -> str | None:
        """The public module under which the reference describes what a module defines."""
        parts = name.split(".")
        if parts[0] in HOMES:
            return HOMES[parts[0]] or None
        return next(
            (".".join(parts[:n]) for n in range(len(parts), 0, -1) if ".".join(parts[:n]) in self.public),
            None,
        )

    def entries(self) -> Iterator[_Found]:
        """All documents. What is written in Python comes before the same in C."""
        homes = self._homes()
        taken: set[tuple[str, str]] = set()
        for module in sorted(self.modules.values(), key=lambda m: (m.file is None, m.name)):
            home = self.home(module.name)
            if home is not None and module.docstring and _long(module.docstring):
                origin = None if module.file is None else Origin(module.file, 1)
                yield _Found(module.name, module.docstring, {home}, origin)
            for top, members in module.defined.items():
                offers = homes.get((module.name, top), set())
                for qualified, docstring, line in members:
                    fresh = {home for home in offers if (home, qualified) not in taken}
                    if not fresh or not _long(docstring):
                        continue
                    taken.update((home, qualified) for home in offers)
                    origin = None if module.file is None else Origin(module.file, line)
                    text = f"{qualified.rpartition('.')[2]}\n{docstring}"
                    yield _Found(f"{module.name}.{qualified}", text, fresh, origin)

    def _homes(self) -> dict[tuple[str, str], set[str]]:
        """For each defined object the public modules that define or re-export it."""
        homes: dict[tuple[str, str], set[str]] = {}
        for module in self.modules.values():
            home = self.home(module.name)
            if home is None:
                continue
            for top in module.defined:
                homes.setdefault((module.name, top), set()).add(home)
            for name in self._exports(module):
                target = self._definition(module.name, name)
                if target is not None:
                    homes.setdefault(target, set()).add(home)
        return homes

    def _exports(self, module: _Module) -> set[str]:
        """Public names that a module has from elsewhere and offers as its own."""
        names = {name for name in module.imported if module.offered is not None and name in module.offered}
        for star in module.stars:
            other = self.modules.get(star)
            # Within a package's inner modules a star from another public module is for their own use.
            if other is not None and (
                self.home(star) in (None, self.home(module.name)) or module.name in self.public
            ):
                everything = {*other.defined, *self._exports(other)}
                names |= everything if other.offered is None else everything & other.offered
        return {name for name in names if not name.startswith("_") and name not in module.defined}

    def _definition(self, module_name: str, name: str, depth: int = 8) -> tuple[str, str] | None:
        """Where an object that a module has under ``name`` is defined."""
        module = self.modules.get(module_name)
        if module is None or depth == 0:
            return None
        if name in module.defined:
            return module_name, name
        if name in module.imported:
            return self._definition(*module.imported[name], depth - 1)
        places = (self._definition(star, name, depth - 1) for star in module.stars)
        return next((place for place in places if place is not None), None)


def _long(docstring: str) -> bool:
    return len(docstring.split()) >= WORDS


def _sources(folder: Path) -> Iterator[tuple[str, Path]]:
    """Module names and files, ascending."""
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name.isidentifier() and name not in LEFT_OUT)
        above = Path(place).relative_to(folder).parts
        for file in sorted(files):
            name, suffix = os.path.splitext(file)
            if suffix == ".py" and name.isidentifier() and name not in ("__main__", "antigravity", "this"):
                yield ".".join(above if name == "__init__" else (*above, name)), Path(place, file)


def _parse(name: str, path: Path) -> _Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, OSError, RecursionError):
        return None
    module = _Module(name, str(path), ast.get_docstring(tree))
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in _statements(tree.body):
        if isinstance(node, (*_Function, ast.ClassDef)):
            if not node.name.startswith("_") and node.name not in module.defined:
                module.defined[node.name] = list(_members(node, node.name))
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                if alias.name == "*":
                    module.stars.append(source)
                else:
                    module.imported[alias.asname or alias.name] = (source, alias.name)
        elif isinstance(node, (ast.Assign, ast.AugAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
                strings = {
                    n.value
                    for n in ast.walk(node.value)
                    if isinstance(n, ast.Constant) and isinstance(n.value, str)
                }
                module.offered = (module.offered or set()) | strings
    return module


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements at the top, and those below ``if``, ``try`` and ``with`` there."""
    for node in body:
        yield node
        if isinstance(node, (ast.If, ast.Try, ast.With)):
            yield from _statements(node.body)
            yield from _statements(getattr(node, "orelse", []))
            for handler in getattr(node, "handlers", []):
                yield from _statements(handler.body)


def _members(node: ast.stmt, qualified: str) -> Iterator[tuple[str, str, int]]:
    assert isinstance(node, (*_Function, ast.ClassDef))
    docstring = ast.get_docstring(node)
    if docstring:
        yield qualified, docstring, node.lineno
    if isinstance(node, ast.ClassDef):
        seen = set()
        for child in _statements(node.body):
            if (
                isinstance(child, (*_Function, ast.ClassDef))
                and not child.name.startswith("_")
                and child.name not in seen
            ):
                seen.add(child.name)
                yield from _members(child, f"{qualified}.{child.name}")


def _inspect(name: str) -> _Module | None:
    """A module written in C, imported; None where this Python has none of that name."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # some are deprecated
            module: ModuleType = importlib.import_module(name)
    except ImportError:
        return None
    found = _Module(
        name, docstring=inspect.cleandoc(module.__doc__) if isinstance(module.__doc__, str) else None
    )
    for top, value in sorted(vars(module).items()):
        if top.startswith("_") or not (inspect.isroutine(value) or inspect.isclass(value)):
            continue
        if inspect.isfunction(value) or f"__{top}__" in vars(module):
            continue  # sys.excepthook and the like: a notebook or a test runner puts its own in their place
        members = [(top, inspect.cleandoc(value.__doc__), 0)] if isinstance(value.__doc__, str) else []
        if inspect.isclass(value):
            for attribute, item in sorted(vars(value).items()):
                docstring = getattr(item, "__doc__", None)
                if not attribute.startswith("_") and inspect.isroutine(item) and isinstance(docstring, str):
                    members.append((f"{top}.{attribute}", inspect.cleandoc(docstring), 0))
        found.defined[top] = members
    return found
