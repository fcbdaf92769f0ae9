"""The host side of one guest: a config in, 46 functions out.

Rules of this package: one host serves one guest, and no engine is known here.

    functions    the handlers of every group joined, over one table, set of clocks and config
    state        the stubs bound to them, over the guest's memory; what engines use
    counting     the same handlers, with every call counted
    preview0     the older spec over the same handlers
"""
