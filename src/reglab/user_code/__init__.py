"""Find, import and check networks that users write, named as in ``model.target=my_net.Net``.

The identity of a run includes all that determines their results: the modules that they import and the files that they
read.
"""
