"""Hyperparameter transfer from small dense proxies to wide sparse networks."""

__version__ = "0.1.0"
