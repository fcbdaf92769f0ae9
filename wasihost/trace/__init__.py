"""A trace of a guest's calls, one line each, as users of strace know it.

    run("tool.wasm", trace=True)                                   # on standard error
    run("tool.wasm", trace=Trace("calls.txt", filter="path_*"))
    run("tool.wasm", trace=calls.append)                           # `TracedCall` objects

Rules of this package: a trace is a hook like any other, and sees what the guest sees: it is outside all other hooks.
A call that the stubs refuse, because a value or a pointer is bad, does not reach a hook.

    tracer     the hook: what is called for each call, and what is made of it
    facts      what is known of a call
    target     where lines go: a file, a logger, a function
    text       a call as a line
    as_json    a call as JSON
    summary    the table of calls, errors and times
"""

from wasihost.trace.tracer import Trace, TracedCall

__all__ = ["Trace", "TracedCall"]
