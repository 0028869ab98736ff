"""How a model grows, a file a kind of scorer; what is to be done lies in ``strategies/grow.py``."""
