"""A data set of the Hugging Face hub: texts for language modeling."""

from typing import Any, ClassVar

from reglab.data import hub
from reglab.data.files import stem
from reglab.data.text import Text
from reglab.schema import text_constraints as limits
from reglab.schema.constraints import Constraints, Nullable
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.text_constraints import PATH


class HuggingfaceText(Text):
    """Texts of one column, each a document, those of the predefined test at the end; split like `Text`.

    Args:
        path: a folder or a name in the cache, see `Huggingface`.
        config: name of a subset; None: the only one.
        column: name of the column with the texts.
        name: name of the data set; None: the end of the path.
        common: see `Text`.
    """

    may_be_a_name: ClassVar = True

    constraints: ClassVar[Constraints] = {
        "path": Nullable(PATH),
        "config": Nullable(limits.Text()),
        "column": limits.Text(),
    }

    def __init__(
        self,
        *,
        path: str | None = None,
        config: str | None = None,
        column: str = "text",
        name: str | None = None,
        **common: Any,
    ) -> None:
        super().__init__(path=path, name=name or stem(path or ""), **common)
        self.config, self.column = config, column

    def documents(self) -> tuple[str, ...]:
        """Return the texts of all parts without empty and missing ones.

        Raises:
            ConfigError: no such data set or column, or one without texts.
        """
        parts = hub.load_parts(self.path, self.config)
        test = hub.predefined_test(parts)
        texts: list[str] = []
        for name in sorted(parts, key=lambda name: name == test):
            part = parts[name]
            if self.column not in part.column_names:
                raise ConfigError(
                    Setting("data.column", self.column),
                    f"no such column in {self.path}",
                    f"it has {', '.join(part.column_names)}",
                )
            values = part[self.column][:]
            if any(not isinstance(text, str) for text in values if text is not None):
                raise ConfigError(
                    Setting("data.column", self.column), f"contains no text in {self.path}", "name another column"
                )
            texts += [text for text in values if text]
        return tuple(texts)
