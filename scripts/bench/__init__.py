"""Parts of the benchmark ``bench_sparse.py``: measuring (torch) apart from numbers, page and figures (no torch)."""
