"""One run in this process: driven, stepped, stopped, shown."""
