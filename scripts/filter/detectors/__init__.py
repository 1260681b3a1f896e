"""One module for each `kind` of detector."""
