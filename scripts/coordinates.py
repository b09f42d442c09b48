"""Check that activations, gradients and updates keep their size: takes what `smupar coordinates` takes."""

import sys

from smupar_transfer.app.main import main

if __name__ == "__main__":
    sys.exit(main(["coordinates", *sys.argv[1:]]))
