"""The console: pages and an HTTP interface to see what agents do, answer their questions and follow their runs."""
