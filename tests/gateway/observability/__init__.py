"""Tests of what an operator watches: health, readiness, status, metrics, traces and logs."""
