"""The formats in which patches are written, and what people, models and editors make of them."""
