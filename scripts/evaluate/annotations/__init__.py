"""One module for each `kind` of annotated set."""
