"""What an operator watches: health, readiness, status, metrics, traces and logs of a running gateway."""
