"""Reading text files in constant memory."""
