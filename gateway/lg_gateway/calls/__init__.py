"""One call, step by step. Read `pipeline` first."""
