"""Which files matter most: page rank over who uses whose names."""
