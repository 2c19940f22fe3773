"""The HTTP API of runs: `/v1/runs` and what belongs to it."""
