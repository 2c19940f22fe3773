"""The eight nodes, one file each: a function of the state and the services that returns the changed fields."""
