"""Run a stability sweep, then analyse and draw it: takes what `smupar sweep` takes."""

import sys

from smupar_transfer.app.main import main

if __name__ == "__main__":
    sys.exit(main(["sweep", *sys.argv[1:]]))
