"""Publishes each event once: masked, written to the journal, displayed. Stores results by digest."""
