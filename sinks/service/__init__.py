"""The service layer: what a user can ask for and do, as functions with typed requests and results.

The results are the `--json` contract (docs/json.md). Commands print the results; this layer prints
nothing.
"""
