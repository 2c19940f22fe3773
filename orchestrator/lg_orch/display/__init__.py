"""What a person sees: progress while a run works, reports and diffs; on a terminal and where output is piped."""
