"""Writes docs/reference/ from config classes and docstrings: a page for every part, all in one shape.

python scripts/reference_pages.py            writes the pages, and takes away those of parts that are gone
python scripts/reference_pages.py --check    tells whether they are up to date

What a part is, its paper, formula, shapes, cost and when to use it stand as labelled paragraphs in the docstring of its
class or, where a file holds one part, of that file. Our results come from docs/reference/results.json:
{"encoders": {"textcnn": {"rcv1-sample": {"micro_f1": [mean, deviation], "seeds": 3, "train docs/s": 900}}}}.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from linnaea.commands.show import REGISTRIES
from linnaea.config.part import Choice
from linnaea.config.registry import Registry

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "reference"
LABELS = ("Paper", "Formula", "Differences", "Shapes", "Cost", "When to use")
STRICT = ("encoders", "embedders", "heads", "losses")
"""Kinds whose parts must have all labels."""
KEYS = {
    "tokenizers": "input.tokenizer",
    "embedders": "model.embedder",
    "initializers": "model.embedder.initializer",
    "positions": "model.embedder.position",
    "encoders": "model.encoder",
    "heads": "model.head",
    "losses": "objective.loss",
    "strategies": "training.strategy",
    "optimizers": "training.optimizer",
    "schedules": "training.schedule",
    "calibrations": "decision.calibration",
    "thresholds": "decision.threshold",
    "decoders": "decision.decoding",
    "metrics": "evaluation.metrics",
}
"""Where each kind is chosen."""
MADE = "<!-- Written by scripts/docs: change the docstring and the config class, not this page. -->"


def _config_page() -> ModuleType:
    spec = importlib.util.spec_from_file_location("config_page", Path(__file__).with_name("config_page.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


config_page = _config_page()


class Missing(Exception):
    """A docstring lacks what every page of its kind has."""


def sections(text: str) -> tuple[str, dict[str, str], list[str]]:
    """The first paragraph of a docstring, its labelled paragraphs, and the others."""
    title, labelled, rest = "", {}, []
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(text)):
        plain, *parts = re.split(rf"(?m)^({'|'.join(LABELS)}): *", paragraph)
        for label, body in zip(parts[::2], parts[1::2], strict=True):
            if label in labelled:
                raise Missing(f"says {label!r} twice")
            labelled[label] = " ".join(body.split())
        if plain.strip() and not title:
            title = " ".join(plain.split())
        elif plain.startswith("Shape letters: "):
            labelled["Shape letters"] = " ".join(plain.partition(": ")[2].split())
        elif plain.strip() and not re.match(r"(Args|Raises|Returns|Attributes)\b", plain):
            rest.append(" ".join(plain.split()))
    return title, labelled, rest


def described(kind: str, name: str) -> tuple[str, dict[str, str], list[str]]:
    """What a part's own docstring and that of its file say of it.

    Raises:
        Missing: an encoder, embedder, head or loss lacks a label.
    """
    parts = REGISTRIES[kind]
    module = parts.module(name)
    file = sys.modules[module.__module__]
    own = sections(inspect.getdoc(module) if module.__dict__.get("__doc__") else "")  # type: ignore[arg-type]
    beside = [other for other in built_in(parts) if parts.module(other).__module__ == module.__module__]
    whole = sections(file.__doc__ or "")
    if own[1]:
        title, labelled, rest = own
    elif len(beside) == 1:
        title, labelled, rest = whole
    else:
        title, labelled, rest = own[0], whole[1], own[2]
    missing = [label for label in LABELS if label not in labelled]
    if kind in STRICT and missing:
        place = Path(str(file.__file__)).name
        raise Missing(f"{kind}/{name} ({place}): the docstring says nothing about {', '.join(missing)}")
    what = config_page.prose(parts.config(name))
    if kind in STRICT or len(beside) == 1:
        return title or what, labelled, rest
    return what, labelled, [own[0], *rest] if own[0] and own[0] != what else rest


def built_in(parts: Registry[Any]) -> list[str]:
    """Names of the parts that come with the package."""
    return [name for name in parts.names() if parts.origin(name) is None]


def page(kind: str, name: str, results: dict[str, Any]) -> str:
    """The page of one part."""
    parts = REGISTRIES[kind]
    title, labelled, rest = described(kind, name)
    config = parts.config(name)
    blocks = [f"# {parts.kind.capitalize()} `{name}`", MADE, prose(title), *facts(kind, config)]
    blocks.append(f"Chosen by `{KEYS[kind]}`: {_choice(kind, config)}.")
    if "Paper" in labelled:
        blocks += ["## Paper", prose(labelled["Paper"])]
    if "Formula" in labelled:
        blocks += ["## Formula", f"```text\n{_wrapped(labelled['Formula'])}\n```"]
    blocks += ["## Settings", *settings(config)]
    for label in ("Shapes", "Cost", "When to use", "Differences"):
        if label in labelled:
            blocks += [f"## {label}", prose(labelled[label])]
            if label == "Shapes" and "Shape letters" in labelled:
                blocks.append(prose(labelled["Shape letters"]))
    if rest:
        blocks += ["## Besides", *map(prose, rest)]
    if kind in STRICT:
        blocks += ["## Our result", measured(results.get(kind, {}).get(name, {}))]
    return "\n\n".join(block.rstrip() for block in blocks) + "\n"


def facts(kind: str, config: Any) -> Iterator[str]:
    """What the checks of a config know of a part."""
    if kind == "encoders":
        reads = (
            "the ids of its own tokenizer"
            if config.embeds
            else "bags"
            if config.reads == "bags"
            else "a sequence"
        )
        yield f"Reads {reads}; {'gives' if config.gives_states else 'gives no'} token states."
    elif kind == "heads":
        yield f"Reads {'token states' if config.needs_states else 'the document vector'}."
    elif kind == "losses":
        yield f"Scores are the {config.scores} of the logits."
    elif kind == "embedders":
        yield f"Serves encoders that read {' or '.join('a sequence' if r == 'sequence' else r for r in config.serves)}."


def settings(config: type[Choice]) -> Iterator[str]:
    """The table of keys, and one for each object among them."""
    if not config.model_fields:
        yield "None."
        return
    yield config_page.table(_linked(config))
    for key, field in config.model_fields.items():
        if config_page.is_part(field):
            yield f"`{key}`: {config_page.prose(config_page.part_of(field))}"
            yield config_page.table(config_page.rows(config_page.part_of(field), field.default))


def _linked(config: type[Choice]) -> Iterator[tuple[str, ...]]:
    for row, field in zip(config_page.rows(config), config.model_fields.values(), strict=True):
        registry, name = config_page.registry_of(field), row[0].strip("`")
        kind = row[1]
        if registry is not None:
            kind = kind.replace(
                "choice, see below", f"one of the [{registry.plural}](../README.md#{registry.plural})"
            )
        elif config_page.is_part(field):
            kind = kind.replace("object, see below", f"object, see `{name}` below")
        yield (row[0], kind, *row[2:])


def _choice(kind: str, config: type[Choice]) -> str:
    name = config.type_name
    needed = {key: "..." for key, field in config.model_fields.items() if field.is_required()}
    short = f"`{json.dumps([name] if kind == 'metrics' else name)}`"
    full = {"type": name, **(needed or dict.fromkeys(list(config.model_fields)[:1], "..."))}
    long = "`" + json.dumps([full] if kind == "metrics" else full).replace('"..."', "...") + "`"
    return long if needed else f"{short} or {long}" if config.model_fields else short


def measured(found: dict[str, dict[str, Any]]) -> str:
    """A table of what was measured, one row a corpus."""
    if not found:
        return "Not measured by itself; [results](../../results.md) has what was."
    columns = list(dict.fromkeys(key for numbers in found.values() for key in numbers))
    heads = [key.replace("_f1", "-F1").replace("_", " ") for key in columns]
    lines = [f"| corpus | {' | '.join(heads)} |", "|---" * (len(columns) + 1) + "|"]
    for corpus, numbers in found.items():
        lines.append(f"| {corpus} | {' | '.join(_number(numbers.get(key)) for key in columns)} |")
    return "\n".join(lines)


def _number(value: Any) -> str:
    if isinstance(value, list):
        mean, deviation = value
        return f"{mean:.3f} ± {deviation:.3f}" if deviation else f"{mean:.3f}"
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 10 else f"{value:,.0f}"
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def prose(text: str) -> str:
    """A docstring's sentence as Markdown: ``code`` in backticks, addresses as links, no accidental emphasis."""
    text = text[:1].upper() + text[1:]
    pieces = re.split(r"(``.+?``|`[^`]+`|https?://[^\s,;)]+)", text)
    for i, piece in enumerate(pieces):
        if i % 2 == 0:
            pieces[i] = re.sub(r"([*_<\[\]])", r"\\\1", piece)
        elif piece.startswith("http"):
            address = piece.rstrip(".")
            pieces[i] = f"<{address}>{piece[len(address) :]}"
        else:
            pieces[i] = f"`{piece.strip('`')}`"
    return _wrapped("".join(pieces))


def _wrapped(text: str, width: int = 120) -> str:
    lines, line = [], ""
    for word in text.split(" "):
        if line and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return "\n".join([*lines, line])


def index() -> str:
    """docs/reference/README.md: all parts in tables."""
    blocks = [
        "# All parts",
        MADE,
        "What a config can choose, one page a part. The whole config: [config.md](../config.md).",
    ]
    for kind, parts in REGISTRIES.items():
        blocks.append(f"## {kind}")
        lines = [f"`{KEYS[kind]}`", "", "| name | what it is |", "|---|---|"]
        for name in built_in(parts):
            text = config_page.prose(parts.config(name)).replace("|", "\\|")
            lines.append(f"| [{name}]({kind}/{name}.md) | {text} |")
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def pages() -> dict[Path, str]:
    """All pages, by path.

    Raises:
        Missing: docstrings that lack a label, all in one message.
    """
    stored = FOLDER / "results.json"
    results = json.loads(stored.read_text(encoding="utf-8")) if stored.exists() else {}
    found, problems = {FOLDER / "README.md": index()}, []
    for kind, parts in REGISTRIES.items():
        for name in built_in(parts):
            try:
                found[FOLDER / kind / f"{name}.md"] = page(kind, name, results)
            except Missing as error:
                problems.append(str(error))
    if problems:
        raise Missing("\n".join(problems))
    return found


def stale(found: dict[Path, str]) -> list[Path]:
    """Pages that are missing, out of date, or of a part that is gone."""
    there = set(FOLDER.rglob("*.md"))
    wrong = {
        path for path, text in found.items() if path not in there or path.read_text(encoding="utf-8") != text
    }
    return sorted(wrong | (there - set(found)))


def main() -> int:
    """Write or check; 1 when a page is out of date or a docstring lacks a label."""
    try:
        found = pages()
    except Missing as error:
        print(error, file=sys.stderr)
        return 1
    wrong = stale(found)
    if "--check" in sys.argv[1:]:
        for path in wrong:
            print(
                f"docs/reference/{path.relative_to(FOLDER)} is out of date: run scripts/docs", file=sys.stderr
            )
        return 1 if wrong else 0
    for path in wrong:
        if path in found:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(found[path], encoding="utf-8")
        else:
            path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
