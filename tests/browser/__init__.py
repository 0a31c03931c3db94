"""The published site in a real browser, with the network blocked."""
