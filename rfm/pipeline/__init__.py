"""A run: the stages, their notebooks, the record of what happened, and the verbs that repeat it."""
