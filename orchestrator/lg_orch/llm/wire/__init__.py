"""Provider clients: how each is built, asked and cached."""
