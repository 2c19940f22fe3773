from __future__ import annotations

import os

# Opt-in: building its model's engine takes minutes.
collect_ignore = [] if os.environ.get("LG_LOCAL_MODEL") == "1" else ["test_local_model.py"]
