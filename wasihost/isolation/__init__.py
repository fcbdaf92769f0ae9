"""`isolation="process"`: the guest in a process of its own, which has dropped all access that the guest does not need.

The embedder's side is `pool` (one zygote for each process, started when it is first needed), `parcel` (what a guest is
given, as values and descriptors) and `guest` (the worker, with the interface of an `Instance`). The other side is
`zygote`, which has imported everything and forks, and `worker`, which runs one guest after `lockdown`. `wire` and
`trees` carry messages and files between them.

Rules of this package: what comes from the worker is not trusted. It is data of the few types that `wire` knows, checked
where it is used, and never unpickled; the limits of the guest bound how much of it is read.
"""
