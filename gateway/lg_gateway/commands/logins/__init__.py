"""Commands about the gateway's logins at upstream servers."""
