"""`root = "rw"`: writes what a command wrote into an overlay back to the real root, all of it or nothing."""
