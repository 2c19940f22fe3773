"""Plain data that crosses the borders of a run: plans, calls, results, reports, events, state, errors."""
