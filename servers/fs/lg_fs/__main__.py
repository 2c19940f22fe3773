"""`python -m lg_fs`."""

import sys

from lg_fs.cli import main

if __name__ == "__main__":
    sys.exit(main())
