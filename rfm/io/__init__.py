"""The edges: files in, tables kept."""
