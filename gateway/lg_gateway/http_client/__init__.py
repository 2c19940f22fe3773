"""The HTTP client for servers: kept-alive connections with little between a request and its bytes."""
