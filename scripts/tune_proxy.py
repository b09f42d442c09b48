"""Search base hyperparameters on the dense proxy: takes what `smupar tune` takes."""

import sys

from smupar_transfer.app.main import main

if __name__ == "__main__":
    sys.exit(main(["tune", *sys.argv[1:]]))
