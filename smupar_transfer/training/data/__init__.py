"""Data sets: pinned by content, split the same way in every run, loaded without the network."""

from smupar_transfer.training.data.examples import ExampleData
from smupar_transfer.training.data.load import DATA_NAMES, Data, load_data
from smupar_transfer.training.data.tokens import TokenData

__all__ = ["DATA_NAMES", "Data", "ExampleData", "TokenData", "load_data"]
