"""How long the command line takes to answer where nothing is computed: ``--help``, ``--version``, ``check``.

    scripts/bench startup --config ../shared/examples/rcv1-textcnn.json

Each command is started anew, the fastest of the repeats counts. ``check`` reads the whole corpus that the config names;
"check, no documents" checks the config and the taxonomy of the same file with one training document.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.common import Row, arguments, measure, report
from linnaea.config.config import Config


def commands(config: Path, folder: Path) -> dict[str, list[str]]:
    """What is started, by name."""
    whole = Config.load(config)
    value = json.loads(config.read_text())
    first = whole.data.files("train")[0]
    short = folder / "one.jsonl"
    with open(first, encoding="utf-8") as file:
        short.write_text("".join(next(file) for _ in range(20)), encoding="utf-8")
    value["task"]["taxonomy"] = str(Path(whole.task.taxonomy).resolve()) if whole.task.taxonomy else None
    value["data"] = {"train": str(short)}
    (folder / "small.json").write_text(json.dumps(value))
    return {
        "--version": ["--version"],
        "--help": ["--help"],
        "train --help": ["train", "--help"],
        "check, 20 documents": ["check", str(folder / "small.json")],
        "check, the corpus": ["check", str(config)],
    }


def timed(name: str, words: list[str], repeats: int) -> Row:
    """The fastest of several starts."""

    def start() -> None:
        done = subprocess.run([sys.executable, "-m", "linnaea", *words], capture_output=True, check=False)
        if done.returncode:
            raise SystemExit(f"linnaea {' '.join(words)}: exit {done.returncode}\n{done.stderr.decode()}")

    row = measure(name, 1, start, repeats=repeats, warm_up=True)
    return Row(name, 1, row.seconds, 0.0, {"ms": 1000 * row.seconds})


def main() -> None:
    """Measure."""
    parser = arguments(__doc__)
    parser.add_argument("--config", type=Path, default=Path("../shared/examples/rcv1-textcnn.json"))
    parser.add_argument("--repeats", type=int, default=5)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = [
            timed(name, words, chosen.repeats)
            for name, words in commands(chosen.config, Path(folder)).items()
        ]
    report(rows, chosen.json)


if __name__ == "__main__":
    main()
