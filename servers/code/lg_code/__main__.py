"""`python -m lg_code`."""

import sys

from lg_code.cli import main

if __name__ == "__main__":
    sys.exit(main())
