"""What happened in a run, put together from its events, and drawn: graph, timeline, diffs. Pure."""
