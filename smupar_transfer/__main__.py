"""``python -m smupar_transfer``: the same as ``smupar``."""

from __future__ import annotations

import sys

from smupar_transfer.app.main import main

if __name__ == "__main__":
    sys.exit(main())
