"""One module for each family of encoders, so that an edit of one retrains no run of another."""
