"""The run service: an API for runs, their queue, and the workers that drive them."""
