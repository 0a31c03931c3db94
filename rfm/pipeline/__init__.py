"""The run: the command, the chain of notebooks and the site.

The edges: files in, tables kept.

What lets runs happen by themselves: one at a time (`lock`), missed days too (`missed`), when a file lands (`waiting`).
"""
