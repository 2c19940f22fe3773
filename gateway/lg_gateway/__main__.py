"""`python -m lg_gateway`."""

import sys

from lg_gateway.cli import main

sys.exit(main())
