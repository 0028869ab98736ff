"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON to stdout instead of a table.")]
Plugins = Annotated[
    list[str],
    typer.Option(
        "--plugin", help="Module that a model's own parts live in. May be repeated.", show_default=False
    ),
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")]
Threshold = Annotated[
    float | None, typer.Option("--threshold", help="Decide at this score instead of the model's thresholds.")
]
Decoding = Annotated[
    str | None,
    typer.Option(
        "--decoding",
        help="Decode this way instead of the model's: a name, or '{\"type\": ...}' with settings.",
    ),
]
OnError = Annotated[
    str,
    typer.Option(
        "--on-error",
        help="A broken document: raise (stop), skip (leave out, count), or quarantine (also keep it in a file).",
    ),
]
Format = Annotated[
    str,
    typer.Option(
        "--format", help="auto, jsonl, text, csv, tsv or parquet; auto goes by name or first character."
    ),
]
