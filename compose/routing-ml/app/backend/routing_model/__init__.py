"""The routing model: what it is made of, how it is trained, measured, written and read.

The classes of this package are pickled by joblib, so their module paths are part of the artefact format: moving one
makes every stored model unreadable.
"""
