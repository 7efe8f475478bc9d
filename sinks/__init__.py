"""Make drops of the daily partitions: one window of one export becomes one proven CSV file.

`closing.close` is the story; `engine`, `rules`, `state`, `rendering`, `drops`, `ledger` and
`locations` have its steps. `exports.types` declares the exports that there are.
"""
