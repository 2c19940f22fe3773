"""From flags to settings, state and root."""
