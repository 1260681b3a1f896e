"""Steps of the chapter `audit`: what was made, out of what, and whether it still is so."""
