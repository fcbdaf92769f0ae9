"""Time, and whatever waits on a guest's behalf.

Rules of this package: every wait ends when its guest has to.

    cancel_scope    when a guest has to end, and how everything that waits for it is woken
    clocks          a guest's clocks and its way of sleeping
    poller          poll(2) to the nanosecond, and how many bytes there are to read
    pieces          large amounts of bytes, moved in pieces
    inputs          which way of waiting fits a Python object
    input_ready     by its file
    input_thread    by a thread that asks it, or reads ahead
    stream_objects  text and callables as streams of bytes; what an object stands on
"""
