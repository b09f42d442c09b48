"""Faults that machines and people inflict on a command while it runs, and what must be left when they are over."""
