"""What torch.compile is to leave alone, told to it when there is such a module, not when its file is read.

``torch.compiler.disable`` imports torch's compiler: 1.3 s and 65 MB, which networks without such modules need not spend.
"""

from __future__ import annotations

import torch
from torch import nn


def left_alone(kind: type[nn.Module]) -> None:
    """Keep torch.compile out of ``kind.forward``; for its ``__init__``."""
    if not getattr(kind.forward, "_torchdynamo_disable", False):
        kind.forward = torch.compiler.disable(kind.forward)  # type: ignore[no-untyped-call]
