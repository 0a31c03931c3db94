"""The run: the command, the chain of notebooks and the site."""
