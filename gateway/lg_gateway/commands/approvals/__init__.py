"""`lg-gateway approvals`: the questions of callers that wait, and the answers to them."""
