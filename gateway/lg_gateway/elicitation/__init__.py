"""Questions that servers ask while a call runs."""
