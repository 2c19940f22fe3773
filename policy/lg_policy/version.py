"""The one version number of the distribution; all programs report it."""

__version__ = "0.1.0"
