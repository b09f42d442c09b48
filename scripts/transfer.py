"""Rescale base hyperparameters to a target: takes what `smupar transfer` takes."""

import sys

from smupar_transfer.app.main import main

if __name__ == "__main__":
    sys.exit(main(["transfer", *sys.argv[1:]]))
