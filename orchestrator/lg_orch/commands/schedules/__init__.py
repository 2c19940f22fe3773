"""`lg-orch schedules`: requests that the run service makes again and again."""
