"""`isolation="process"`: the guest in a process of its own that has given up all but what the guest was given.

The embedder's side is `pool` (one zygote for each process, made when it is first needed), `parcel` (what a guest is
given, as values and descriptors) and `guest` (an `Instance` from outside). The other side is `zygote`, which has
everything imported and forks, and `worker`, which runs one guest after `lockdown`. `wire` and `trees` are between them.

Rules of this package: what comes from the worker is not trusted. It is data of the few types that `wire` knows, checked
where it is used, and never unpickled; how much of it is read is bounded by the limits of the guest.
"""
