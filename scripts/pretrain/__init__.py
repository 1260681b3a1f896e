"""Steps of the chapter `pretrain`."""
