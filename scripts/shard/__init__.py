"""Steps of the chapter `shard`."""
