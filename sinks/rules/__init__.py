"""The rules for the rows of a drop (SPEC §3), as Ibis expressions over tables of records and state;
one rule a module.

A close first computes the repeats of each topic that it reads, then the states (both in
`sinks.state`), then the drop of its export, of facts or of rows. The rules don't depend on where
the tables come from.
"""
