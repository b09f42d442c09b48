"""One module per command; each has ``run(config)``."""
