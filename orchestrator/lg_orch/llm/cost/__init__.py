"""Tokens and money: counted, bounded, held."""
