"""`lg-gateway policy`, `pins`: how calls are decided, and which definitions are accepted."""
