"""Train a recipe or the configured target: takes what `smupar train` takes."""

import sys

from smupar_transfer.app.main import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
