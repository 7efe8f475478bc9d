"""Closes: one window of one export becomes one proven drop. `close` has the steps in order."""
