"""The search for base hyperparameters on a dense proxy. The only layer that imports Optuna."""

from smupar_transfer.tuning.search import Search, TrialOutcome, best, outcomes, run_search
from smupar_transfer.tuning.space import Range, SearchSpace
from smupar_transfer.tuning.storage import file_storage
from smupar_transfer.tuning.study import StudySettings

__all__ = [
    "Range",
    "Search",
    "SearchSpace",
    "StudySettings",
    "TrialOutcome",
    "best",
    "file_storage",
    "outcomes",
    "run_search",
]
