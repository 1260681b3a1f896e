"""Commands of the chapter `audit`: they look at what a run left behind, and change nothing of it."""
