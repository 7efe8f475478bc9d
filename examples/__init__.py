"""Whole ways through deltadrop on real data."""
