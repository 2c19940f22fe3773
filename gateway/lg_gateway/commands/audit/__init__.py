"""`lg-gateway audit`: the ledger, read and kept."""
