"""The language reference of Python, in the module pydoc_data of every installation."""

from typing import ClassVar

from reglab.data.text import Text


class PythonDocs(Text):
    """About 460,000 characters in 79 topics, a document each; the exact text depends on the version of Python."""

    module: ClassVar = "pydoc_data.topics"
    """Module whose file contains the text."""

    def documents(self) -> tuple[str, ...]:
        """Return the topics that ``help()`` shows, in the order of their names."""
        from pydoc_data.topics import topics

        return tuple(text for _, text in sorted(topics.items()))
