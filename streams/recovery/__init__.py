"""Offsets that are read again, set aside or taken out."""
