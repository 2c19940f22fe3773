"""A browser for tests: opens the address on its command line, follows redirects, and shows nothing."""

from __future__ import annotations

import sys
import urllib.request

with urllib.request.urlopen(sys.argv[1]) as page:
    page.read()
