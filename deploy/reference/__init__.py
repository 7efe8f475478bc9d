"""Generation of documentation and JSON Schemas from the declarations."""
