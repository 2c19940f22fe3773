"""What a page hears while it is open: that something it shows has changed."""
