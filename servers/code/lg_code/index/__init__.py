"""The index of all files in the state directory, and how it is kept up to date."""
