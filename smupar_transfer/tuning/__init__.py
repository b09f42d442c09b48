"""The search for base hyperparameters on a dense proxy. The only layer that imports Optuna."""

from smupar_transfer.tuning.confirmation import Repeat, best, candidates, confirmed, repeats, run_repeats
from smupar_transfer.tuning.search import Search, TrialOutcome, close_study, others_at_work, outcomes, run_search
from smupar_transfer.tuning.space import Range, SearchSpace
from smupar_transfer.tuning.storage import file_storage
from smupar_transfer.tuning.study import StudySettings

__all__ = [
    "Range",
    "Repeat",
    "Search",
    "SearchSpace",
    "StudySettings",
    "TrialOutcome",
    "best",
    "candidates",
    "close_study",
    "confirmed",
    "file_storage",
    "others_at_work",
    "outcomes",
    "repeats",
    "run_repeats",
    "run_search",
]
