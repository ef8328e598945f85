"""Sources: where transitions come from when no state handler is called in this process."""
