"""Tell what a sweep or a run would cost: takes what `smupar plan` takes."""

import sys

from smupar_transfer.app.main import main

if __name__ == "__main__":
    sys.exit(main(["plan", *sys.argv[1:]]))
