"""The tools on offer: names, schemas, pins, search."""
