"""What a user can ask for and do: functions of typed requests with typed results, which are the
`--json` contract (docs/json.md). Commands print what they return; nothing is printed here.
"""
