"""Print every parameter of a target: takes what `smupar explain` takes."""

import sys

from smupar_transfer.app.main import main

if __name__ == "__main__":
    sys.exit(main(["explain", *sys.argv[1:]]))
