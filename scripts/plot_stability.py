"""Redraw a stability sweep from its records: takes what `smupar plot` takes."""

import sys

from smupar_transfer.app.main import main

if __name__ == "__main__":
    sys.exit(main(["plot", *sys.argv[1:]]))
