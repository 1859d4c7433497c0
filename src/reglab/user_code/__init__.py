"""Networks that users write themselves, named as in ``model.target=my_net.Net``: found, imported, and checked.

The identity of a run includes all that determines their results: the modules that they import and the files that they
read.
"""
