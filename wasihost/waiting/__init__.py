"""Time, and everything that waits on behalf of a guest.

Rules of this package: every wait ends when its guest has to end.

    cancel_scope    when a guest has to end, and how everything that waits for it is woken
    clocks          a guest's clocks, and how it sleeps
    poller          poll(2) with a timeout in ns, and the number of bytes that can be read
    pieces          moves large amounts of bytes in pieces
    inputs          chooses how to wait for a Python object
    input_ready     waiting by the file behind the object
    input_thread    waiting in a thread that calls the object's hook, or reads ahead
    stream_objects  text and callables as streams of bytes; the fd and identity of a stream
"""
