"""Processes: started, drained, limited, ended with all their descendants."""
