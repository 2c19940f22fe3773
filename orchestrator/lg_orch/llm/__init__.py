"""Language models: chosen, asked, paid for."""
