"""One window of one export becomes one proven drop; `close` is the story, step by step."""
