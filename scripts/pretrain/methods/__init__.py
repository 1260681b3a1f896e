"""One module for each pretraining `method`."""
