"""The nodes of the graph, one file each: a function of the state and the services that returns the changed fields."""
