"""State at a cut = base + rows since (DESIGN, *Closing a window*): what earlier events leave behind
for a close.

A base is the state at some cut, kept as tables; a fold takes the records since on top of it, and
gives the state at a later cut in the same columns. Folding from nothing over all records gives the
same. Records since a base always count as appended after it. Repeats change nothing: every fold is
told of them (`repeats`).
"""
