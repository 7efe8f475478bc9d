"""Dead letters: reading, showing and replaying."""
