"""The language reference of Python, which every Python carries in its module pydoc_data."""

from typing import ClassVar

from reglab.data.text import Text


class PythonDocs(Text):
    """About 460,000 characters in 79 topics, a document each; the exact text is that of the Python that runs it."""

    module: ClassVar = "pydoc_data.topics"
    """Whose file is the text."""

    def documents(self) -> tuple[str, ...]:
        """The topics that ``help()`` shows, in the order of their names."""
        from pydoc_data.topics import topics

        return tuple(text for _, text in sorted(topics.items()))
