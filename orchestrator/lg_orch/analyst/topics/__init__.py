"""What the analyst can be asked, one topic a file."""
