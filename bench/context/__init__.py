"""How much of a model's context the definitions of tools take, listed all or found by search."""
