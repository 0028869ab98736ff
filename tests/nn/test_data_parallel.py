"""Two processes under torch's data-parallel wrapper: the same sparse gradients as one with all documents."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.multiprocessing
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from linnaea.config.heads import ModelConfig
from linnaea.config.objective import ObjectiveConfig
from linnaea.nn.objectives.objective import Objective
from tests.nn.cases import make_batch, make_documents, make_labels, make_network, sizes, taxonomy

PARTS = [slice(0, 7), slice(7, 10)]


def gradients(encoder: str, part: slice, world: int, wrap) -> dict[str, torch.Tensor]:
    rng = np.random.default_rng(0)
    texts, labels = make_documents(rng, rng.integers(1, 8, 10)), make_labels(rng, 10)
    batch = make_batch(texts[part], labels=labels[part])
    config = ModelConfig.read({"embedder": {"type": "lookup", "dimension": 8}, "encoder": encoder})
    network = make_network(config, sparse=True).eval()
    wrapped = wrap(network)
    goal = Objective(ObjectiveConfig(recursive_penalty=0.1), taxonomy(), sizes().support_C, 16)
    # The wrapper averages over processes; the shares of a step are to be added.
    (world * goal(wrapped(batch), batch, network, documents_in_step=10)).backward()
    return {name: parameter.grad.to_dense() for name, parameter in network.named_parameters()}


def process(rank: int, encoder: str, folder: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    found = gradients(encoder, PARTS[rank], 2, DistributedDataParallel)
    torch.save(found, f"{folder}/{rank}.saving")
    os.rename(f"{folder}/{rank}.saving", f"{folder}/{rank}.pt")
    while not all(Path(folder, f"{other}.pt").exists() for other in (0, 1)):
        time.sleep(0.01)
    # Both are done: leave at once, since gloo's threads now and then abort an interpreter that shuts down.
    os._exit(0)


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ["fasttext", "textcnn"])
def test_sparse_gradients_over_two_processes(encoder: str, tmp_path: Path):
    torch.multiprocessing.spawn(process, (encoder, str(tmp_path)), nprocs=2)
    expected = gradients(encoder, slice(0, 10), 1, lambda network: network)
    for rank in (0, 1):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
