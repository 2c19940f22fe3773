"""Who calls: tokens, access tokens of an authorization server, or the local user."""
