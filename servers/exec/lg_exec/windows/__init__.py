"""Runs commands on Windows, in a job object and without a sandbox."""
