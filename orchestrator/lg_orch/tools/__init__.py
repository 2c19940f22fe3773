"""The gateway connection: tools found, calls made, results as envelopes."""
