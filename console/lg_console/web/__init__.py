"""What every page and every answer has in common: the frame, the headers, and the console that they belong to."""
