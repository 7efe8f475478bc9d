"""The one exception of this package."""


class PartError(Exception):
    """A real part isn't available, doesn't start, or wasn't started here and can't be stopped.

    The message says which part, why, and what to do.
    """
