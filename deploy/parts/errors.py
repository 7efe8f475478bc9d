"""The one exception of this package."""


class PartError(Exception):
    """A real part can't be had, doesn't come up, or isn't ours to stop.

    Its message says which part, why, and what to do.
    """
