"""`lg-gateway serve`, `doctor`: the running gateway, and whether it would run."""
