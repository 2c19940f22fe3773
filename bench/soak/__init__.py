"""A long run of many clients while servers die: nothing may be lost, doubled or leaked."""
