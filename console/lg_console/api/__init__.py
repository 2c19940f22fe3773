"""The HTTP interface below `/v1`: JSON for programs of people, with the rights of whoever logged in."""
