"""`lg-gateway halt`, `continue`: stops all calls at once, and lets them begin again."""
