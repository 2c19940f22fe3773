"""`python -m lg_orch`."""

import sys

from lg_orch.cli import main

sys.exit(main())
