"""Pretrained: a transformer that learned from other texts before, read with its own tokenizer.

Paper: Devlin et al. 2019, "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding"
(https://aclanthology.org/N19-1423/). Mean of states: Reimers & Gurevych 2019, "Sentence-BERT"
(https://aclanthology.org/D19-1410/). Rates by layer: Sun et al. 2019, "How to Fine-Tune BERT for Text Classification?"
(https://arxiv.org/abs/1905.05583).
Formula: h_1..h_S = transformer([before, pieces, after]); cls: h_1; mean: Σ h_s / S; attention: Σ softmax_s(w·h_s) h_s.
In chunks: the mean of that over windows of pieces, each of which repeats the last ``overlap`` of the one before.
Differences: from the papers: no pooler behind the first state; weights of attention are not dropped out, nor are
DeBERTa's relative positions, and all other dropout masks follow from seed, step and document; an empty document is
zero. The transformers themselves are those of the library ``transformers``.
Shapes: ids [B, T] -> [B, D], D = the transformer's width; states [B, S, D] of the pieces that were read.
Cost: O(layers · (T·D² + T²·D)), in chunks of W pieces O(layers · (T·D² + T·W·D)); memory in training O(layers · T · D)
several times over, with gradient_checkpointing once.
When to use: texts in plain language, few labelled documents, and a transformer that knows the language; frozen or with
few layers where there is no GPU. Not for tokens that are stems, numbers or codes.

Shape letters: B documents, T pieces, S states, D width, W windows of all documents, P pieces of a window, Q the same with
special tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from linnaea.config.encoders_pretrained import PretrainedConfig
from linnaea.config.registry import encoders
from linnaea.errors import ConfigError
from linnaea.nn.batch import Batch
from linnaea.nn.layers.dropout import GOLDEN, Dropout, mixed
from linnaea.nn.layers.transformers import (
    PATH,
    build_transformer,
    layers,
    positions,
    recompute_layers,
    with_keys,
)
from linnaea.nn.network import Encoded, Encoder, Sizes

PLACE = "model.encoder"


@dataclass(frozen=True, eq=False)
class Windows:
    """What the transformer reads of a batch, a window a row; each document has at least one.

    Attributes:
        document_W: whose it is, ascending.
        number_W: which of the document's it is.
        place_WP: where its pieces stand in the document.
    """

    ids_WP: Tensor
    mask_WP: Tensor
    document_W: Tensor
    number_W: Tensor
    place_WP: Tensor


def first_windows(ids_BT: Tensor, mask_BT: Tensor, size: int) -> Windows:
    """The first ``size`` pieces of each document."""
    ids_BP, mask_BP = ids_BT[:, :size], mask_BT[:, :size]
    numbers_B = torch.arange(len(ids_BP), device=ids_BT.device)
    place_BP = torch.arange(ids_BP.shape[1], device=ids_BT.device).expand_as(ids_BP)
    return Windows(ids_BP, mask_BP, numbers_B, torch.zeros_like(numbers_B), place_BP)


def all_windows(ids_BT: Tensor, mask_BT: Tensor, size: int, overlap: int) -> Windows:
    """All pieces of each document, in windows of ``size`` of which ``overlap`` stood in the window before."""
    lengths_B, stride, last = mask_BT.sum(1), size - overlap, ids_BT.shape[1] - 1
    count_B = 1 + (lengths_B - size + stride - 1).clamp(min=0) // stride
    document_W = torch.repeat_interleave(count_B)
    number_W = torch.arange(len(document_W), device=ids_BT.device) - (count_B.cumsum(0) - count_B)[document_W]
    place_WP = number_W[:, None] * stride + torch.arange(min(size, last + 1), device=ids_BT.device)
    mask_WP = place_WP < lengths_B[document_W, None]
    place_WP = place_WP.clamp(max=last)
    return Windows(ids_BT[document_W[:, None], place_WP], mask_WP, document_W, number_W, place_WP)


@encoders.register("pretrained")
class Pretrained(Encoder):
    """``output_dim`` = ``state_dim`` = the transformer's width. It reads batches: no embedder stands before it.

    Attributes:
        shape: what it was built from, for the model folder: ``architecture`` (a config.json), and the special tokens
            ``before`` and ``after`` each window.
        window: how many pieces are read at once.
    """

    def __init__(self, config: PretrainedConfig, *, sizes: Sizes) -> None:
        super().__init__()
        if sizes.transformer is None:
            raise ConfigError("the shape of the transformer is not known", where=PATH)
        self.config, self.shape = config, dict(sizes.transformer)
        self.transformer = build_transformer(self.shape["architecture"])
        self.before, self.after = list(self.shape["before"]), list(self.shape["after"])
        self.padding = int(self.transformer.config.pad_token_id or 0)
        self.output_dim = self.state_dim = int(self.transformer.config.hidden_size)
        self.window = self._window()
        if config.pooling == "cls" and not self.before:
            problem = "the tokenizer puts no special token before a text"
            raise ConfigError(problem, where=f"{PLACE}.pooling", hint='use "mean"')
        self.attention = nn.Linear(self.output_dim, 1, bias=False) if config.pooling == "attention" else None
        self._dropouts = [module for module in self.transformer.modules() if isinstance(module, Dropout)]
        self._frozen = self._freeze()
        if config.gradient_checkpointing:
            recompute_layers(self.transformer)

    def _window(self) -> int:
        config = self.config
        most = positions(self.transformer) - len(self.before) - len(self.after)
        size = config.window or most
        if size > most:
            problem = f"this transformer reads {most} pieces at once, not {size}"
            raise ConfigError(problem, where=f"{PLACE}.window", hint="leave it out")
        if config.long_texts == "chunks" and config.overlap >= size:
            problem = f"must be below the window of {size}, not {config.overlap}"
            raise ConfigError(problem, where=f"{PLACE}.overlap")
        return size

    def _freeze(self) -> list[nn.Module]:
        """Let only that learn which the settings name; the modules that do not."""
        config, learning = self.config, set(self.transformer.modules())
        if config.train == "all":
            return []
        self.transformer.requires_grad_(False)
        if config.top_layers is None:
            return list(learning)
        _, stack = layers(self.transformer, f"{PLACE}.top_layers")
        if config.top_layers > len(stack):
            problem = f"this transformer has {len(stack)} layers, not {config.top_layers}"
            raise ConfigError(problem, where=f"{PLACE}.top_layers")
        top = stack[len(stack) - config.top_layers :].requires_grad_(True)
        return list(learning - set(top.modules()))

    def train(self, mode: bool = True) -> Pretrained:
        """As of any module; what does not learn stays in eval mode."""
        super().train(mode)
        for module in self._frozen:
            module.training = False
        return self

    def learning_rates(self) -> dict[str, float]:
        """Full rates by the start of parameters' names: those of the transformer, falling from layer to layer."""
        rate, decay = self.config.learning_rate, self.config.layer_decay
        if self.config.train == "none":
            return {}
        rates = {"transformer": rate}
        if decay < 1:
            name, stack = layers(self.transformer, f"{PLACE}.layer_decay")
            depths = {f"{name}.{i}": len(stack) - 1 - i for i in range(len(stack))}
            depths |= {n: len(stack) for n, _ in self.transformer.named_children() if "embeddings" in n}
            rates |= {f"transformer.{part}": rate * decay**depth for part, depth in depths.items()}
        return rates

    def forward(self, batch: Batch) -> Encoded:  # type: ignore[override]
        ids_BT, mask_BT = batch.ids_BT, batch.mask_BT
        assert ids_BT is not None
        assert mask_BT is not None
        if self.config.long_texts == "cut":
            windows = first_windows(ids_BT, mask_BT, self.window)
            pooled_WD, states_WPD = self._read(windows)
            return Encoded(pooled_WD * mask_BT.any(1, keepdim=True), states_WPD, windows.mask_WP)
        windows = all_windows(ids_BT, mask_BT, self.window, self.config.overlap)
        with with_keys(self._dropouts, [self._keys(module, windows) for module in self._dropouts]):
            pooled_WD, states_WPD = self._read(windows)
        pooled_BD = _mean(pooled_WD, windows.document_W, len(ids_BT)) * mask_BT.any(1, keepdim=True)
        place_WP = windows.document_W[:, None] * ids_BT.shape[1] + windows.place_WP
        states = _mean(states_WPD[windows.mask_WP], place_WP[windows.mask_WP], ids_BT.numel())
        return Encoded(pooled_BD, states.view(*ids_BT.shape, -1), mask_BT)

    @staticmethod
    def _keys(module: Dropout, windows: Windows) -> Tensor | None:
        """Keys of dropout for windows, out of those for documents."""
        if module.keys_B is None:
            return None
        return mixed(module.keys_B[windows.document_W] ^ (windows.number_W.to(torch.int32) * GOLDEN))

    def _read(self, windows: Windows) -> tuple[Tensor, Tensor]:
        """``[W, D]`` vectors of windows and ``[W, P, D]`` states of their pieces, zero at padding."""
        ids_WQ, mask_WQ = self._with_special(windows)
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.config.train != "none"):
            output = self.transformer(input_ids=ids_WQ, attention_mask=mask_WQ.long())
        hidden_WQD = output.last_hidden_state
        first = len(self.before)
        states_WPD = hidden_WQD[:, first : first + windows.mask_WP.shape[1]] * windows.mask_WP[..., None]
        return self._pooled(hidden_WQD, mask_WQ), states_WPD

    def _with_special(self, windows: Windows) -> tuple[Tensor, Tensor]:
        ids_WP, mask_WP = windows.ids_WP, windows.mask_WP
        ends_W1 = len(self.before) + mask_WP.sum(1, keepdim=True)
        before, after = (
            torch.tensor(ids, dtype=torch.long, device=ids_WP.device) for ids in (self.before, self.after)
        )
        rows = (len(ids_WP), -1)
        room = ids_WP.new_full((len(ids_WP), len(after)), self.padding)
        ids_WQ = torch.cat([before.expand(*rows), ids_WP.masked_fill(~mask_WP, self.padding), room], 1)
        ids_WQ = ids_WQ.scatter(
            1, ends_W1 + torch.arange(len(after), device=ids_WP.device), after.expand(*rows)
        )
        mask_WQ = torch.arange(ids_WQ.shape[1], device=ids_WP.device) < ends_W1 + len(after)
        mask_WQ[:, 0] = True  # without special tokens an empty document has nothing to attend to
        return ids_WQ, mask_WQ

    def _pooled(self, hidden_WQD: Tensor, mask_WQ: Tensor) -> Tensor:
        if self.config.pooling == "cls":
            return hidden_WQD[:, 0]
        if self.attention is None:
            return (hidden_WQD * mask_WQ[..., None]).sum(1) / mask_WQ.sum(1, keepdim=True)
        logits_WQ: Tensor = self.attention(hidden_WQD).squeeze(2).masked_fill(~mask_WQ, -torch.inf)
        return (logits_WQ.softmax(1)[..., None] * hidden_WQD).sum(1)


def _mean(values_ND: Tensor, group_N: Tensor, groups: int) -> Tensor:
    """``[groups, D]``: the mean of the rows of each group; 0 where it has none."""
    sums = values_ND.new_zeros(groups, values_ND.shape[1]).index_add(0, group_N, values_ND)
    counts = values_ND.new_zeros(groups).index_add(
        0, group_N, torch.ones_like(group_N, dtype=values_ND.dtype)
    )
    return sums / counts.clamp(min=1)[:, None]
