"""`root = "rw"`: what a command wrote into an overlay is put into the real root, all of it or nothing."""
