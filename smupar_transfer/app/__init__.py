"""Commands, their configuration and the terminal. Imported by nobody; alone knows Hydra."""
