"""The checks of a project: which ones a run makes, what their output proves, and the verdict on the run."""
