"""Where did this event go: where it is stored, and what came of it in each export."""
