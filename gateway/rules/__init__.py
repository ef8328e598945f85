"""The rule language: expressions, templates, and the index that finds what matches."""
