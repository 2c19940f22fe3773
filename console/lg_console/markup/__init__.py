"""HTML that is made of elements, never of text: whatever is put in is escaped."""
