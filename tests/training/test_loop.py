"""The loop: sums are those of the whole step, the best epoch wins, what goes wrong is said at once."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric.fabric import Fabric
from torch import nn

from linnaea.config.outcome import RunConfig
from linnaea.config.training import TrainingConfig
from linnaea.errors import ConfigError, RunError
from linnaea.nn.batch import Batch
from linnaea.training import loop
from linnaea.training.history import EpochRecord, History, Progress, Start
from linnaea.training.loader import Loader, collate
from linnaea.training.processes import connect, generators, set_generators
from tests.training import toy

SGD = {"type": "sgd", "learning_rate": 0.5}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def close(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor], atol: float = 1e-6) -> None:
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, atol=atol, rtol=0, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("sparse", [True, False])
def test_accumulated_batches_make_the_steps_of_large_ones(sparse: bool) -> None:
    # 37 documents: the last step has one batch of 5, or 5 + nothing; bags keep the order whatever the batch size.
    case: dict[str, Any] = {"sparse": sparse, "dropout": 0.5, "optimizer": SGD, "gradient_clip": 0.3}
    large = toy.train(None, batch_size=16, **case)
    small = toy.train(None, batch_size=8, accumulate=2, **case)
    single = toy.train(None, batch_size=1, accumulate=16, **case)
    assert large.history.records[-1].step == small.history.records[-1].step == 9
    for other in (small, single):
        close(large.weights, other.weights)
        for a, b in zip(large.history.records, other.history.records, strict=True):
            assert a.loss == pytest.approx(b.loss, abs=1e-6)


def test_sparse_and_dense_gradients_train_alike_under_sgd() -> None:
    # Without momentum a row that rests under the sparse rule does not move under the dense one either.
    case: dict[str, Any] = {"dropout": 0.5, "optimizer": SGD, "gradient_clip": 0.5}
    close(toy.train(None, sparse=True, **case).weights, toy.train(None, sparse=False, **case).weights, 1e-5)


@pytest.mark.parametrize("reads", ["bags", "sequence"])
@pytest.mark.parametrize("limit", [None, 0.01])
def test_a_step_against_one_by_hand(reads: Any, limit: float | None) -> None:
    split, goal = toy.train_split(), toy.objective()
    features = ["token", "ngram"] if reads == "bags" else ["token"]
    hand = toy.network(reads, sparse=False, dropout=0.0)
    batch = collate(split, features, reads, torch.arange(len(split)).numpy())
    loss = goal(hand(batch), batch, hand)
    loss.backward()
    if limit is not None:
        assert nn.utils.clip_grad_norm_(hand.parameters(), limit) > 2 * limit
    with torch.no_grad():
        for parameter in hand.parameters():
            parameter -= 0.5 * parameter.grad
    # One step an epoch, made of batches of 8 and a last one of 5.
    end = toy.train(
        None, reads=reads, dropout=0.0, epochs=1, accumulate=5, optimizer=SGD, gradient_clip=limit,
        schedule="constant", warmup_steps=0,
    )  # fmt: skip
    close(dict(hand.state_dict()), end.weights)
    (record,) = end.history.records
    assert record.step == 1
    assert record.loss == pytest.approx(loss.item(), abs=1e-6)
    assert record.learning_rate == 0.5


def test_it_learns_by_heart() -> None:
    end = toy.train(None, dropout=0.0, epochs=60, measured=False, schedule="constant", gradient_clip=None)
    assert end.history.records[-1].loss < 0.15 < 0.5 < end.history.records[0].loss


def scripted(values: list[dict[str, float]]) -> Callable[[Any], dict[str, float]]:
    left = iter(values)
    return lambda network: next(left)


class Snapshots:
    """Keeps the weights of every epoch."""

    def __init__(self) -> None:
        self.network: nn.Module | None = None
        self.weights: list[dict[str, torch.Tensor]] = []

    def measure(self, values: list[dict[str, float]]) -> Callable[[Any], dict[str, float]]:
        left = iter(values)

        def measure(network: Any) -> dict[str, float]:
            self.weights.append({name: tensor.clone() for name, tensor in network.state_dict().items()})
            return next(left)

        return measure


def dev(*pairs: tuple[float, float]) -> list[dict[str, float]]:
    return [{"micro_f1": f1, "loss": loss} for f1, loss in pairs]


STOPPING = {
    "the best of all epochs": (dev((0.1, 1), (0.5, 1), (0.4, 0), (0.3, 0)), "micro_f1", 9, 2, 4),
    "patience": (dev((0.1, 1), (0.5, 1), (0.4, 0), (0.5, 1), (0.9, 1)), "micro_f1", 2, 2, 4),
    "ties go to the lower loss": (dev((0, 3), (0, 2), (0, 2.5), (0, 1)), "micro_f1", 2, 4, 4),
    "loss: lower is better": (dev((0, 3), (1, 2), (2, 4), (3, 5), (0, 0)), "loss", 2, 2, 4),
    "not a number is worst": (dev((math.nan, 1), (0.0, 9), (math.nan, 0)), "micro_f1", 2, 2, 3),
    "ever better": (dev((0.1, 1), (0.2, 1), (0.3, 1), (0.4, 1)), "micro_f1", 1, 4, 4),
}


@pytest.mark.parametrize("name", STOPPING)
def test_stopping(name: str) -> None:
    values, metric, patience, best, epochs = STOPPING[name]
    seen = Snapshots()
    end = toy.train(
        None, measure=seen.measure(values), epochs=len(values),
        early_stopping={"metric": metric, "patience": patience},
    )  # fmt: skip
    assert (end.history.best_epoch, len(end.history.records)) == (best, epochs)
    assert end.history.stopped_early == (epochs < len(values))
    assert all(torch.equal(tensor, end.weights[n]) for n, tensor in seen.weights[best - 1].items())
    assert end.history.best is end.history.records[best - 1]
    # Each mark "best" is a rise above all marks before it.
    assert [r.epoch for r in end.history.records if r.best][-1] == best


def test_not_a_number_is_written_as_null(tmp_path: Path) -> None:
    end = toy.train(tmp_path, measure=scripted(dev((math.nan, 1), (0.5, math.inf))), epochs=2)
    assert [line["dev"] for line in end.lines] == [
        {"micro_f1": None, "loss": 1},
        {"micro_f1": 0.5, "loss": None},
    ]


def test_without_early_stopping_the_last_epoch_stays() -> None:
    seen = Snapshots()
    end = toy.train(None, measure=seen.measure(dev((0.9, 1), (0.1, 1), (0.2, 1))), early_stopping=None)
    assert end.history.best_epoch == 3
    assert all(torch.equal(tensor, end.weights[name]) for name, tensor in seen.weights[2].items())


def test_without_dev_the_last_epoch_stays() -> None:
    end = toy.train(None, measured=False)
    assert end.history.best_epoch == 3
    assert not end.history.records[0].dev


def test_a_metric_that_is_not_measured() -> None:
    with pytest.raises(
        ConfigError, match=r"training\.early_stopping\.metric: .*'samples_f1' is not measured here"
    ):
        toy.train(None, early_stopping={"metric": "samples_f1"})


def test_learning_rates_follow_the_schedule() -> None:
    end = toy.train(None, schedule="linear", warmup_steps=0, optimizer=SGD, measured=False)
    # 15 steps; the last of each epoch has 1 - 4/14, 1 - 9/14, 0 of the rate.
    rates = [record.learning_rate for record in end.history.records]
    assert rates == pytest.approx([0.5 * 10 / 14, 0.5 * 5 / 14, 0.0])


def test_frozen_at_first() -> None:
    start = toy.network().state_dict()
    seen = Snapshots()
    toy.train(None, measure=seen.measure(dev((0, 3), (0, 2), (0, 1))), freeze_epochs=2)
    token, ngram = "embedder.tables.token.weight", "embedder.tables.ngram.weight"
    assert [torch.equal(weights[token], start[token]) for weights in seen.weights] == [True, True, False]
    assert not torch.equal(seen.weights[0][ngram], start[ngram])


def test_a_frozen_run_goes_on_frozen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stop(Exception):
        pass

    def hook(progress: Progress) -> None:
        if progress.step == 7:
            raise Stop

    monkeypatch.setattr(loop, "REPORT_EVERY", -1.0)
    whole = toy.train(tmp_path / "whole", freeze_epochs=2)
    with pytest.raises(Stop):
        toy.train(tmp_path / "stopped", freeze_epochs=2, hook=hook)
    toy.train(tmp_path / "stopped", freeze_epochs=2, resume=True).same(whole)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_loss_that_is_not_finite(tmp_path: Path, accumulate: int) -> None:
    class Broken(nn.Module):
        steps = 0

        def forward(self, output: Any, batch: Batch, network: nn.Module, documents: int) -> torch.Tensor:
            self.steps += 1
            scale = math.inf if self.steps > 6 * accumulate else 1.0
            return output.logits_BC.square().sum() / documents * scale

    config = TrainingConfig.read({**toy.BASE, "accumulate": accumulate})
    loader = Loader(toy.train_split(80), ["token", "ngram"], "bags", config, 5)
    with pytest.raises(RunError, match=r"not finite at step 7 \(epoch .*learning rate below 0\.0"):
        loop.fit(
            toy.network(), Broken(), loader, None, config, RunConfig(device="cpu"), tmp_path / "checkpoints"
        )
    # The checkpoints before it are sound.
    kept = sorted(path.name for path in (tmp_path / "checkpoints").glob("step-*"))
    assert kept == ["step-00000005", "step-00000006"]


def test_weights_that_are_not_finite_are_not_written(tmp_path: Path) -> None:
    class Poison(nn.Module):
        """Its loss is 0, its gradient is not."""

        def forward(self, output: Any, batch: Batch, network: nn.Module, documents: int) -> torch.Tensor:
            zero = output.logits_BC.sum() * 0.0
            return zero + (output.logits_BC - output.logits_BC.detach()).clamp(min=0).sqrt().sum()

    config = TrainingConfig.read({**toy.BASE, "gradient_clip": None})
    loader = Loader(toy.train_split(), ["token", "ngram"], "bags", config, 5)
    with pytest.raises(RunError, match="are not finite after step 1"):
        loop.fit(toy.network(), Poison(), loader, None, config, RunConfig(device="cpu"), tmp_path)
    assert not list(tmp_path.glob("step-*"))


def test_bf16_is_close_to_32() -> None:
    short, full = (toy.train(None, precision=p, dropout=0.0, measured=False) for p in ("bf16", "32"))
    assert short.weights["head.linear.weight"].dtype == torch.float32
    assert not torch.equal(short.weights["head.linear.weight"], full.weights["head.linear.weight"])
    assert short.history.records[-1].loss == pytest.approx(full.history.records[-1].loss, abs=0.02)


class Told:
    """Keeps all that it hears."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def on_start(self, start: Start) -> None:
        self.events.append(start)

    def on_step(self, progress: Progress) -> None:
        self.events.append(progress)

    def on_epoch(self, record: EpochRecord) -> None:
        self.events.append(record)

    def on_end(self, history: History) -> None:
        self.events.append(history)


def test_what_listeners_hear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "REPORT_EVERY", -1.0)
    told = Told()
    end = toy.train(None, listeners=[told])
    kinds = [type(event) for event in told.events]
    assert kinds == [Start, *([Progress] * 5 + [EpochRecord]) * 3, History]
    start, *middle, last = told.events
    assert start == Start((), 0, 3, 37, "micro_f1")
    assert last == end.history
    steps = [event for event in middle if isinstance(event, Progress)]
    assert [(p.epoch, p.step, p.steps) for p in steps] == [(1 + i // 5, i + 1, 15) for i in range(15)]
    assert all(p.documents_per_second > 0 and p.seconds_left > 0 and p.loss > 0 for p in steps[:-1])
    # At the end of an epoch the running loss is the epoch's loss.
    records = end.history.records
    assert [steps[i].loss for i in (4, 9, 14)] == [record.loss for record in records]
    assert steps[0].best is None
    assert steps[5].best == records[0].dev["micro_f1"]


def test_steps_are_told_of_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "REPORT_EVERY", 3600.0)
    told = Told()
    toy.train(None, listeners=[told])
    assert not any(isinstance(event, Progress) for event in told.events)


def test_in_a_thread_signals_stay_alone() -> None:
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(toy.train(None)))
    thread.start()
    thread.join()
    assert len(results) == 1


def test_same_seed_same_weights_another_seed_others() -> None:
    one, two = toy.train(None), toy.train(None)
    other = toy.train(None, run=RunConfig(seed=12, device="cpu"))
    one.same(two)
    assert not torch.equal(one.weights["head.linear.weight"], other.weights["head.linear.weight"])


def test_generators_of_another_world_are_seeded_anew() -> None:
    fabric = connect(RunConfig(device="cpu"), TrainingConfig())
    torch.manual_seed(1)
    torch.rand(3)
    own = generators(fabric)
    wanted = torch.rand(3)
    set_generators(fabric, own, seed=1, step=5)
    assert torch.equal(torch.rand(3), wanted)
    of_two = {"cpu": torch.cat([own["cpu"], own["cpu"]])}
    drawn = []
    for seed, step in ((1, 5), (1, 5), (1, 6), (2, 5)):
        set_generators(fabric, of_two, seed, step)
        drawn.append(torch.rand(3).tolist())
    assert drawn[0] == drawn[1] != wanted.tolist()
    assert drawn[0] != drawn[2] != drawn[3] != drawn[0]


def test_devices_that_are_not_here() -> None:
    config = TrainingConfig()
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match=r"run\.device: there is no cuda device here"):
            connect(RunConfig(device="cuda"), config)
    if not torch.backends.mps.is_available():
        with pytest.raises(ConfigError, match=r"run\.device: there is no mps device here"):
            connect(RunConfig(device="mps"), config)
    fabric = connect(RunConfig(device="cpu", threads=1), config)
    assert (fabric.device.type, fabric.world_size, fabric._precision.precision) == ("cpu", 1, "32-true")
    assert torch.get_num_threads() == 1


class Kept(logging.Handler):
    """What lightning writes to the terminal."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


def test_lightning_says_nothing_but_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    log, kept = logging.getLogger("lightning_fabric"), Kept()
    launch, level = Fabric.launch, log.level

    def warning(fabric: Fabric) -> None:
        logging.getLogger("lightning_fabric.utilities").warning("careful")
        launch(fabric)

    log.addHandler(kept)
    try:
        Fabric(accelerator="cpu", devices=1, precision="bf16-mixed")
        assert "Automatic Mixed Precision" in kept.said.pop()  # so this test can fail
        monkeypatch.setattr(Fabric, "launch", warning)
        connect(RunConfig(device="cpu"), TrainingConfig.read({**toy.BASE, "precision": "bf16"}))
    finally:
        log.removeHandler(kept)
    assert kept.said == ["careful"]
    assert log.level == level


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("sparse", [True, False])
def test_a_gpu_makes_the_run_of_a_cpu(tmp_path: Path, sparse: bool) -> None:
    case: dict[str, Any] = {"sparse": sparse, "dropout": 0.5, "precision": "32", "optimizer": SGD}
    cpu = toy.train(None, measured=False, **case)
    gpu = toy.train(tmp_path, measured=False, run=RunConfig(seed=11, device="cuda"), **case)
    close(cpu.weights, {name: tensor.cpu() for name, tensor in gpu.weights.items()}, 1e-4)
