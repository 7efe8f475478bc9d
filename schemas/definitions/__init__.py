"""Definitions that people write in YAML: reading them, and explaining a mistake."""
