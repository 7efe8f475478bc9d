"""Reading of definitions that people write in YAML, and explanations of their mistakes."""
