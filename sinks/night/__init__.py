"""Closes that run by themselves, and what is told of them: schedule, status, metrics."""
