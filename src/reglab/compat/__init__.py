"""Private parts of libraries: one module for each library, one function for each use, with the reason.

Tests in ``tests/compat`` fail where a new version of a library changes one of them.
"""
