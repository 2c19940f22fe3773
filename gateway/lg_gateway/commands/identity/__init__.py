"""`lg-gateway tokens`: who may call over HTTP."""
