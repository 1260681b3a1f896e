"""Steps of the chapter `evaluate`."""
