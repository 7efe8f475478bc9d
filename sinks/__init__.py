"""Make drops of the daily partitions: one window of one export becomes one proven CSV file.

`close` is the story; `cut`, `completeness`, `source`, `rules`, `state`, `render`, `manifest`,
`ledger` and `locations` are its steps, one room each. `types` declares the exports that there are.
"""
