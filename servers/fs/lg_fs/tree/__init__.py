"""Directory trees: walked, listed, counted, digested."""
