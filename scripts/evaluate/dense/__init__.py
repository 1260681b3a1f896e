"""Networks that answer for places in a picture, and how they are trained and scored."""
