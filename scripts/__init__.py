"""The steps of the workflow, one package for each chapter."""
