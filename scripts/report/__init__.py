"""Steps of the chapter `report`."""
