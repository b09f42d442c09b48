"""Measure what sparse layers take on this machine: takes what `smupar calibrate` takes."""

import sys

from smupar_transfer.app.main import main

if __name__ == "__main__":
    sys.exit(main(["calibrate", *sys.argv[1:]]))
