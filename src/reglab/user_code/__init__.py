"""Networks that users write themselves, named as in ``model.target=my_net.Net``: found, imported, and kept honest.

All that determines their result is part of a run's identity: the modules that they import, and the files that they
read.
"""
