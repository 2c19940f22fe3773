"""Tests of the commands that look at running gateways and at settings."""
