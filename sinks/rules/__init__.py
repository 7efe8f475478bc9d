"""What goes into a drop (SPEC §3), as Ibis expressions over tables of records and state; a rule a
module.

A close asks for the repeats of each topic it reads, for the states (both `sinks.state`), then for
the drop of its export: of facts or of rows. Nothing here knows where tables come from.
"""
