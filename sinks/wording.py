"""Counts in messages for people, in singular and plural."""

__all__ = ["counted"]


def counted(number: int, singular: str, many: str | None = None) -> str:
    """A number with its word: "1 line", "2 lines", "1,000 lines".

    many: the plural; by default the singular with an s.
    """
    return f"{number:,} {singular if number == 1 else many or f'{singular}s'}"
