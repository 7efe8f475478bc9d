"""Counts in messages for people: one thing, several things."""

__all__ = ["counted"]


def counted(number: int, singular: str, many: str | None = None) -> str:
    """`number` and its word: "1 line", "2 lines", "1,000 lines"; many: where it isn't `one` with
    an s.
    """
    return f"{number:,} {singular if number == 1 else many or f'{singular}s'}"
