"""The rules of SPEC §3 as case files: an operator reads one and adds a case without Python.

A file is a rule. Its cases are stories: events in the order in which they are recorded, with what
becomes of each, and closes. `tests/unit/rules/test_rules.py` runs all of them; `README.md` here
says how they are written.
"""
