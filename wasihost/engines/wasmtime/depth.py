"""Room on Python's own stack, looked at where running out of it is an ordinary exception."""


def deep(levels: int) -> None:
    """RecursionError here and now, where it is an ordinary exception, rather than on entering a callback."""
    if levels:
        deep(levels - 1)
