"""What lets runs happen by themselves: one at a time (`lock`), missed days too (`missed`), when a file lands (`waiting`)."""
