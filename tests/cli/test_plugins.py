"""Parts of one's own through the whole job: trained, listed, evaluated and asked in other processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Outcome

PARTS: dict[str, str] = {
    "encoder": """
import torch
from pydantic import Field

from linnaea.config.encoders import EncoderConfig
from linnaea.config.registry import encoders
from linnaea.nn.network import Encoded, SequenceEncoder


@encoders.register("scaled_mean")
class ScaledMean(SequenceEncoder):
    class Config(EncoderConfig):
        \"\"\"The mean over time, each dimension scaled.\"\"\"

        scale: float = Field(1.0, gt=0)

    def __init__(self, config, *, input_dim):
        super().__init__()
        self.output_dim = input_dim
        self.scale_E = torch.nn.Parameter(torch.rand(input_dim) * config.scale)

    def encode(self, vectors_BTE, mask_BT):
        total_BE = (vectors_BTE * mask_BT[..., None]).sum(1)
        return Encoded(self.scale_E * total_BE / mask_BT.sum(1, keepdim=True).clamp(min=1))
""",
    "embedder": """
import torch
from pydantic import Field

from linnaea.config.embedders import EmbedderConfig
from linnaea.config.registry import embedders
from linnaea.nn.network import Embedded, Embedder


@embedders.register("factored")
class Factored(Embedder):
    class Config(EmbedderConfig):
        \"\"\"A narrow table times a matrix.\"\"\"

        serves = ("sequence",)
        inner: int = Field(4, ge=1)
        width: int = Field(16, ge=1)

    def __init__(self, config, *, features, sizes, reads, sparse):
        super().__init__()
        (name,) = features
        self.output_dim = config.width
        self.table = torch.nn.Embedding(sizes.features[name], config.inner, sparse=sparse)
        self.widen = torch.nn.Linear(config.inner, config.width, bias=False)

    def forward(self, batch):
        return Embedded(self.widen(self.table(batch.ids_BT)), batch.mask_BT)
""",
    "head": """
import torch
from pydantic import Field

from linnaea.config.heads import HeadConfig
from linnaea.config.registry import heads
from linnaea.nn.network import Head, HeadOutput


@heads.register("bottleneck")
class Bottleneck(Head):
    class Config(HeadConfig):
        \"\"\"A layer below the categories.\"\"\"

        width: int = Field(16, ge=1)

    def __init__(self, config, *, input_dim, state_dim, sizes, scores):
        super().__init__()
        self.inner = torch.nn.Linear(input_dim, config.width)
        self.outer = torch.nn.Linear(config.width, len(sizes.taxonomy))

    def forward(self, encoded):
        return HeadOutput(self.outer(torch.tanh(self.inner(encoded.pooled_BD))))

    def category_rows(self):
        return [self.outer.weight]

    def bias_C(self):
        return self.outer.bias
""",
    "loss": """
import torch
from pydantic import Field

from linnaea.config.objective import LossConfig
from linnaea.config.registry import losses
from linnaea.nn.objectives.losses import Loss


@losses.register("smoothed")
class Smoothed(Loss):
    class Config(LossConfig):
        \"\"\"Cross-entropy against labels that are drawn towards one half.\"\"\"

        by: float = Field(0.02, ge=0, lt=1)

    def __init__(self, config):
        super().__init__(config)
        self.by = config.by

    def forward(self, logits_BC, labels, weights_C=None):
        target_BC = labels.dense(logits_BC.shape[1], logits_BC.dtype) * (1 - self.by) + self.by / 2
        loss_BC = torch.nn.functional.binary_cross_entropy_with_logits(
            logits_BC, target_BC, pos_weight=weights_C, reduction="none"
        )
        return loss_BC.mean(1)
""",
    "tokenizer": """
from pydantic import Field

from linnaea.config.registry import tokenizers
from linnaea.config.task import TokenizerConfig


@tokenizers.register("starts")
class Starts:
    class Config(TokenizerConfig):
        \"\"\"Words by their first letters.\"\"\"

        letters: int = Field(4, ge=1)

    def __init__(self, config):
        self.letters = config.letters

    def __call__(self, text):
        return [word[: self.letters] for word in text.split()]
""",
    "metric": """
import numpy as np

from linnaea.config.outcome import MetricConfig
from linnaea.config.registry import metrics


@metrics.register("set_sizes")
class SetSizes:
    class Config(MetricConfig):
        \"\"\"How many categories a document has, decided and gold.\"\"\"

    def __init__(self, config, *, taxonomy, support_C):
        pass

    def __call__(self, predictions, decisions, gold):
        return {"decided": float(np.mean(decisions.chosen.lengths_N)), "gold": float(np.mean(gold.lengths_N))}
""",
}
SETTINGS: dict[str, dict[str, Any]] = {
    "encoder": {"model": {"embedder": {"dimension": 16}, "encoder": {"type": "scaled_mean", "scale": 2.0}}},
    "embedder": {"model": {"embedder": {"type": "factored", "inner": 8}, "encoder": {"filters": 16}}},
    "head": {"model": {"embedder": {"dimension": 16}, "encoder": "fasttext", "head": "bottleneck"}},
    "loss": {"objective": {"loss": {"type": "smoothed", "by": 0.01}}},
    "tokenizer": {"input": {"tokenizer": {"type": "starts", "letters": 3}, "max_tokens": 32}},
    "metric": {"evaluation": {"metrics": ["set_sizes"]}},
}


pytestmark = pytest.mark.usefixtures("clean_registries")


def in_a_process(*arguments: str, cwd: Path, python_path: Path | None = None) -> Outcome:
    """``linnaea ARGUMENTS`` in a process of its own, where no plug-in is known yet."""
    environment = dict(os.environ)
    if python_path is not None:
        environment["PYTHONPATH"] = str(python_path)
    done = subprocess.run(
        [sys.executable, "-m", "linnaea", *arguments],
        capture_output=True, text=True, cwd=cwd, env=environment, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return Outcome(done.returncode, done.stdout, done.stderr)


def written(corpus: Path, kind: str, text: str | None = None, **settings: Any) -> Path:
    """A config beside a plug-in ``mine.py`` of this kind."""
    (corpus / "mine.py").write_text(PARTS[kind] if text is None else text)
    value = json.loads((corpus / "textcnn.json").read_text())
    value |= {"plugins": ["mine.py"], **SETTINGS[kind], **settings}
    value["training"] |= {"epochs": 3}
    (corpus / "mine.json").write_text(json.dumps(value))
    return corpus / "mine.json"


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(PARTS))
def test_from_training_to_prediction(kind: str, corpus: Path) -> None:
    written(corpus, kind)
    trained = in_a_process("train", "mine.json", "--json", cwd=corpus)
    assert trained.code == 0, trained.err
    assert trained.json()["micro"]["f1"] > 0.3
    flags = ("--plugin", "mine.py")
    measured = in_a_process("evaluate", "run", "test.jsonl", "--json", *flags, cwd=corpus)
    assert measured.code == 0, measured.err
    measured_json = measured.json()
    assert measured_json["micro"] == trained.json()["micro"]
    assert ("further" in measured_json) == (kind == "metric")
    answered = in_a_process("predict", "run", "test.jsonl", *flags, cwd=corpus)
    assert answered.code == 0, answered.err
    assert len(answered.out.splitlines()) == 40
    if kind in ("encoder", "metric"):
        without = in_a_process("predict", "run", "test.jsonl", cwd=corpus)
        assert (without.code, without.out) == (3, "")
        assert "needs its plug-ins: there is no" in without.err
        assert "mine.py" in without.err


def test_the_list_says_where_a_part_comes_from(corpus: Path, linnaea: Callable[..., Outcome]) -> None:
    (corpus / "mine_listed.py").write_text(PARTS["encoder"].replace("scaled_mean", "listed_4711"))
    line = next(
        line for line in linnaea("list", "encoders", "--plugin", "mine_listed.py").out.splitlines()
        if "listed_4711" in line
    )  # fmt: skip
    text = "The mean over time, each dimension scaled."
    assert line.split(maxsplit=1) == ["listed_4711", f"{text}  [{(corpus / 'mine_listed.py').resolve()}]"]
    value = linnaea("list", "encoders", "--json").json()["encoders"]
    assert value["listed_4711"] == {"about": text, "from": str((corpus / "mine_listed.py").resolve())}
    assert set(value["textcnn"]) == {"about"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "plugins ({folder}/mine.py): no such file"),
        ("import no_such_module_4711", "plugins ({folder}/mine.py): cannot be imported: ModuleNotFoundError"),
        ("x = 1\n\nx.y", "AttributeError: 'int' object has no attribute 'y', at {folder}/mine.py:3"),
        ("x = 1", "plugins ({folder}/mine.py): registers no part"),
        ("def f(:", "plugins ({folder}/mine.py): cannot be imported: SyntaxError"),
        ("import sys\nsys.exit(0)", "plugins ({folder}/mine.py): cannot be imported: SystemExit: 0"),
        (PARTS["encoder"].replace("scaled_mean", "textcnn"), "'textcnn' (one is built in: choose another name for yours)"),
        (PARTS["encoder"].replace("class Config(EncoderConfig)", "class Settings(EncoderConfig)"),
         "the encoder 'scaled_mean' has no Config class inside"),
        (PARTS["encoder"].replace("Config(EncoderConfig)", "Config").replace("scale: float = Field(1.0, gt=0)", "pass"),
         "the Config of the encoder 'scaled_mean' is no EncoderConfig"),
        (PARTS["loss"], "there is no encoder 'scaled_mean'"),
        (PARTS["encoder"].replace("*, input_dim", "*, width"),
         "the encoder 'scaled_mean' cannot be built: missing a required argument: 'width'"),
    ],
    ids=[
        "missing", "import", "line", "nothing", "syntax", "exit", "taken", "no config", "wrong base", "another", "arguments",
    ],
)  # fmt: skip
def test_bad_plugins_are_told_in_one_line_before_any_training(
    text: str | None, message: str, corpus: Path, linnaea: Callable[..., Outcome]
) -> None:
    written(corpus, "encoder", text or "")
    if text is None:
        (corpus / "mine.py").unlink()
    outcome = linnaea("train", "mine.json")
    assert outcome.code == 2, outcome.err
    last = outcome.err.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert message.format(folder=corpus.resolve()) in last
    assert not (corpus / "run" / "model").exists()


FAILING = {
    "train": PARTS["encoder"].replace("        total_BE", "        mask_BT.no_such_4711\n        total_BE"),
    "missing file": PARTS["encoder"].replace(
        "        total_BE", "        open('no_such_4711')\n        total_BE"
    ),
    "tokenizer": PARTS["tokenizer"].replace("return [", "return 1 / 0, ["),
    "shape": PARTS["encoder"].replace("keepdim=True).clamp", "keepdim=True)[..., None].clamp"),
    "return": PARTS["encoder"].replace("return Encoded", "return tuple"),
}


@pytest.mark.parametrize(
    ("case", "code", "message"),
    [
        ("train", 3, "mine.py:23: AttributeError: 'Tensor' object has no attribute 'no_such_4711' (in your plug-in; "
         "linnaea.testing.check_encoder tries it"),
        ("missing file", 3, "mine.py:23: FileNotFoundError"),
        ("tokenizer", 3, "mine.py:19: ZeroDivisionError: division by zero (in your plug-in; linnaea.testing.check_tokenizer"),
        ("shape", 2, "model.encoder: ScaledMean gives pooled_BD of shape [16, 16, 16], not [B, output_dim] = [16, 16]"),
        ("return", 2, "model.encoder: ScaledMean gives a tuple, not an Encoded"),
    ],
)  # fmt: skip
def test_a_plugin_that_fails_at_work_is_told_in_one_line(
    case: str, code: int, message: str, corpus: Path, linnaea: Callable[..., Outcome]
) -> None:
    written(corpus, "tokenizer" if case == "tokenizer" else "encoder", FAILING[case])
    outcome = linnaea("train", "mine.json")
    assert outcome.code == code, outcome.err
    assert message in outcome.err.strip().splitlines()[-1]


def test_a_plugin_that_fails_in_prediction(corpus: Path, linnaea: Callable[..., Outcome]) -> None:
    written(corpus, "encoder", training={"epochs": 1, "batch_size": 16})
    assert linnaea("train", "mine.json").code == 0
    text = (corpus / "mine.py").read_text()
    (corpus / "mine.py").write_text(text.replace("        total_BE", "        [][0]\n        total_BE"))
    for command in ("predict", "evaluate"):
        done = in_a_process(command, "run", "test.jsonl", "--plugin", "mine.py", cwd=corpus)
        assert done.code == 3
        place = f"error: {(corpus / 'mine.py').resolve()}:23: IndexError: list index out of range"
        assert done.err.strip().splitlines()[-1].startswith(place)


def installed(folder: Path, name: str, modules: dict[str, str], entries: dict[str, dict[str, str]]) -> Path:
    """A package as pip leaves it: its modules, and dist-info with entry points."""
    folder.mkdir(exist_ok=True)
    for module, text in modules.items():
        (folder / f"{module}.py").write_text(text)
    info = folder / f"{name.replace('-', '_')}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    lines = [
        f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in items.items()) for group, items in entries.items()
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))
    return folder


@pytest.mark.slow
def test_installed_packages_need_no_plugins_key(corpus: Path) -> None:
    site = installed(
        corpus / "site",
        "my-parts",
        {f"my_{kind}": text for kind, text in PARTS.items()},
        {
            "linnaea.encoders": {"scaled_mean": "my_encoder:ScaledMean"},
            "linnaea.losses": {"smoothed": "my_loss:Smoothed"},
            "linnaea.tokenizers": {"starts": "my_tokenizer"},
            "linnaea.metrics": {"set_sizes": "my_metric"},
        },
    )
    value = json.loads((corpus / "textcnn.json").read_text())
    for kind in ("encoder", "loss", "tokenizer", "metric"):
        value |= SETTINGS[kind]
    value["training"] |= {"epochs": 2}
    (corpus / "installed.json").write_text(json.dumps(value))
    trained = in_a_process("train", "installed.json", cwd=corpus, python_path=site)
    assert trained.code == 0, trained.err
    answered = in_a_process("predict", "run", "test.jsonl", cwd=corpus, python_path=site)
    assert (answered.code, len(answered.out.splitlines())) == (0, 40), answered.err
    listed = in_a_process("list", cwd=corpus, python_path=site).out
    for name in ("scaled_mean", "smoothed", "starts", "set_sizes"):
        line = next(line for line in listed.splitlines() if name in line)
        assert line.endswith("[my-parts 1.2]")
    missing = in_a_process("train", "installed.json", "--set", "run.dir=other", cwd=corpus)
    assert missing.code == 2
    assert "there is no" in missing.err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"broken": "my_broken:Broken"}, "the plug-in 'my_broken:Broken' of my-parts 1.2 cannot be imported"),
        ({"broken": "my_encoder:ScaledMean"}, "of my-parts 1.2 registers no encoder 'broken'"),
        ({"broken": "my_taken"}, "of my-parts 1.2: two encoders are called 'textcnn'"),
    ],
    ids=["import", "name", "taken"],
)
def test_broken_packages(entry: dict[str, str], message: str, corpus: Path) -> None:
    taken = PARTS["encoder"].replace("scaled_mean", "textcnn")
    modules = {"my_broken": "import no_such_4711", "my_encoder": PARTS["encoder"], "my_taken": taken}
    site = installed(corpus / "site", "my-parts", modules, {"linnaea.encoders": entry})
    trained = in_a_process(
        "train", "textcnn.json", "--set", "model.encoder=broken", cwd=corpus, python_path=site
    )
    assert trained.code == 2
    assert message in trained.err.strip().splitlines()[-1]
    listed = in_a_process("list", "encoders", cwd=corpus, python_path=site)
    line = next(line for line in listed.out.splitlines() if "broken " in line)
    assert "cannot be used" in line
    assert message in line
    assert "textcnn " in listed.out


def test_a_package_cannot_take_the_name_of_a_part_that_is_built_in(corpus: Path) -> None:
    taken = PARTS["encoder"].replace("scaled_mean", "textcnn")
    entries = {"linnaea.encoders": {"textcnn": "my_taken"}}
    site = installed(corpus / "site", "my-parts", {"my_taken": taken}, entries)
    listed = in_a_process("list", "encoders", "--json", cwd=corpus, python_path=site).json()["encoders"]
    assert set(listed["textcnn"]) == {"about"}
