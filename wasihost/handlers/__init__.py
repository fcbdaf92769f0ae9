"""The handlers: one file per witx prefix, each a subclass of a generated abstract class."""
