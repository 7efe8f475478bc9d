"""State at a cut = base + rows since (DESIGN, *Closing a window*): what a close needs of earlier
events.

A base is the state at an earlier cut, stored as tables. A fold applies the records since the base
and returns the state at a later cut, in the same columns. A fold of all records without a base
gives the same. Records since a base always count as appended after it. Repeats change nothing:
every fold gets them as an argument (`repeats`).
"""
