"""Exports: their definitions as people write them, and their meaning on the databases."""
