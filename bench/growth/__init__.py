"""What hiding secrets in a text costs."""
