"""The store: what was accepted, what is owed, what became of it."""
