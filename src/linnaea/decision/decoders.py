"""All decoders: importing this module registers them."""

from linnaea.decision import best, decoding, onepath

__all__ = ["best", "decoding", "onepath"]
