"""What two stages or more need."""
