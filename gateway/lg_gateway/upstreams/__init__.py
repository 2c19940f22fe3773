"""The servers behind the gateway: connected, watched, restarted, called."""
