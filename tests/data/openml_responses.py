"""Responses of OpenML: JSON of the API and an ARFF file, in a cache folder or served as pages."""

import gzip
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

API = "api/v1/json/data"


@dataclass(frozen=True)
class Response:
    """Data set on OpenML.

    Args:
        columns: name and ARFF type of each column: ``REAL``, ``STRING``, ``{a,b}``.
        rows: cells as written in the file.
        targets: default targets.
        ignored: columns that OpenML ignores.
        versions: active versions of the name.
    """

    name: str
    number: int
    columns: dict[str, str]
    rows: Sequence[Sequence[object]]
    targets: Sequence[str] = ()
    ignored: Sequence[str] = ()
    versions: Sequence[int] = (1,)
    version: int = 1
    format: str = "ARFF"
    status: str = "active"

    def arff(self) -> str:
        """Return the content of the ARFF file."""
        attributes = [f"@ATTRIBUTE {name} {kind}" for name, kind in self.columns.items()]
        rows = [",".join(str(cell) for cell in row) for row in self.rows]
        return "\n".join(["% by hand", f"@RELATION {self.name}", *attributes, "@DATA", *rows, ""])

    def pages(self, host: str = "https://www.openml.org") -> dict[str, bytes]:
        """Return the contents of all pages, by path."""
        listed = [{"did": self.number, "name": self.name, "version": v, "status": "active"} for v in self.versions]
        one = {"did": self.number, "name": self.name, "version": self.version, "status": "active"}
        about = {
            "id": str(self.number),
            "name": self.name,
            "version": str(self.version),
            "description": "by hand",
            "format": self.format,
            "status": self.status,
            "licence": "Public",
            "url": f"{host}/data/v1/download/{self.number}/{self.name}.arff",
            "md5_checksum": hashlib.md5(self.arff().encode()).hexdigest(),
        }
        search = f"{API}/list/data_name/{self.name.lower()}/limit/2"
        texts: dict[str, Any] = {
            f"{search}/status/active/": {"data": {"dataset": listed}},
            f"{search}/data_version/{self.version}": {"data": {"dataset": [one]}},
            f"{API}/{self.number}": {"data_set_description": about},
            f"{API}/features/{self.number}": {"data_features": {"feature": self._features()}},
            f"{API}/qualities/{self.number}": {
                "data_qualities": {"quality": [{"name": "NumberOfInstances", "value": str(len(self.rows))}]}
            },
        }
        pages = {path: json.dumps(text).encode() for path, text in texts.items()}
        return {**pages, f"data/v1/download/{self.number}/{self.name}.arff": self.arff().encode()}

    def _features(self) -> list[dict[str, str]]:
        kinds = {"REAL": "numeric", "STRING": "string"}
        return [
            {
                "index": str(place),
                "name": name,
                "data_type": kinds.get(kind, "nominal"),
                "is_target": str(name in self.targets).lower(),
                "is_ignore": str(name in self.ignored).lower(),
                "is_row_identifier": "false",
                "number_of_missing_values": str(sum(row[place] == "?" for row in self.rows)),
            }
            for place, (name, kind) in enumerate(self.columns.items())
        ]


def save_openml(folder: Path, response: Response) -> None:
    """Write a data set to the cache folder of ``fetch_openml``."""
    for path, content in response.pages().items():
        file = Path(f"{folder}/openml/openml.org/{path}.gz")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(gzip.compress(content))


FLOWERS = Response(
    "iris",
    61,
    {"length": "REAL", "petals": "{3,5}", "seen": "STRING", "plot": "REAL", "class": "{'so so',1,2}"},
    [
        (number / 4 if number % 9 else "?", 3 + 2 * (number % 2), ("day", "night")[number % 7 > 3], number // 6, kind)
        for number in range(60)
        for kind in [("'so so'", "1", "2")[number % 3]]
    ],
    targets=["class"],
    ignored=["plot"],
)
"""Sixty rows in ten plots; two classes are called by numbers."""
