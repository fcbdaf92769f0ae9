"""The host side of one guest: from a config to the 46 functions of the spec.

Rules of this package: one host serves one guest; nothing here knows an engine.

    quick        tells the extension what its calls on files of the host need
    functions    one class of the handlers of all groups, over one table, one set of clocks and one config
    own_handlers the same with classes of the embedder's before ours
    bound        the stubs of a spec, in C or in Python, made when they are looked up
    state        the stubs bound to them and to the guest's memory: what engines use
    plain        which calls the extension in C may do by itself, without the GIL
    hooking      hooks around the functions of any spec
    naming       what the guest calls its descriptors
    counting     counts every call
    preview0     the older spec, served by the same handlers
"""
