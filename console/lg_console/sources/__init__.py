"""What the console shows and does, as interfaces: the programs that serve it implement them."""
