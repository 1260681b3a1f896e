"""Steps of the chapter `filter`."""
