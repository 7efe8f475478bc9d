"""What an export is: its definition as people write it, and what it means on their databases."""
