"""Sweeps without a terminal: their files, axes and plans, and running what is missing."""
