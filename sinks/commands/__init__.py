"""The commands of this package; `deltadrop.py` wires them to the command line."""
