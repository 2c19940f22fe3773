"""The addresses that clients of LangGraph Server use, as far as runs fit them."""
