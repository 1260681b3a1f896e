"""Steps of the chapter `curate`."""
