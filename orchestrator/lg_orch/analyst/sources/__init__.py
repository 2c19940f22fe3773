"""What the analyst reads: files, imports, symbols, manifests."""
