"""Figures. Numbers come in plain; drawing does no arithmetic."""
