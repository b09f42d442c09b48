"""Tell the whole story in a few minutes: takes what `smupar demo` takes."""

import sys

from smupar_transfer.app.main import main

if __name__ == "__main__":
    sys.exit(main(["demo", *sys.argv[1:]]))
