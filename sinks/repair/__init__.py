"""Actions after a close: release, redrop, revision, finishing half steps, and retention."""
