"""Splits and standardized values do not change between versions: digests recorded at commit 562f494."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from reglab import data as data_sets
from reglab.data.base import TensorData

N = 240
ROW = np.arange(N)
TABLE = pd.DataFrame(
    {
        "x": np.sin(7.3 * ROW).round(4),
        "hole": np.where(ROW % 7 == 3, np.nan, np.cos(3.1 * ROW).round(4) * 50),
        "colour": np.take(["red", "green", "blue", None, "rare"], np.minimum(ROW * ROW % 11, 4)),
        "patient": ROW * 37 % 23,
        "part": np.take(["train", "train", "train", "val", "test"], ROW % 5),
        "some": np.take(["train", "train", "train", "dev"], ROW % 4),
        "fold": ROW % 5,
        "day": ROW * 31 % 90,
        "y": np.take(["yes", "no", "perhaps"], ROW * 5 % 7 % 3),
        "z": (100 + 20 * np.sin(ROW)).round(3),
    }
)
COLUMNS = {
    "groups": {"split_column": "patient", "split_by": "groups"},
    "parts": {"split_column": "part", "split_by": "parts"},
    "some parts": {"split_column": "some", "split_by": "parts"},
    "folds": {"split_column": "fold", "split_by": "folds", "test_fold": 2},
    "both folds": {"split_column": "fold", "split_by": "folds", "test_fold": 2, "val_fold": 4},
    "time": {"split_column": "day", "split_by": "time"},
}
SETTINGS: dict[str, dict[str, Any]] = {
    "default": {},
    "fractions": {"val_fraction": 0.1, "test_fraction": 0.3},
    "no validation": {"val_fraction": 0.0, "test_fraction": 0.25},
    "few rows": {"train_size": 40},
    "noise": {"label_noise": 0.3},
    "predefined": {"test_fraction": None},
    "full batch": {"batch_size": None, "val_fraction": 0.37, "test_fraction": 0.0},
}


def digests(data: TensorData) -> tuple[str, str, float]:
    """Return the hashes of split and order, and a position-dependent sum of the training inputs."""
    data.setup()
    inputs = data.train.inputs.double().nan_to_num().flatten()
    return data.split_hash, data.order_hash, round(float(inputs @ torch.cos(torch.arange(len(inputs)).double())), 3)


def bundled(name: str, settings: str) -> TensorData:
    data: TensorData = getattr(data_sets, name)(name=name, seed=3, split_seed=4, **SETTINGS[settings])
    return data


def table(folder: Path, target: str, split: str, settings: str) -> TensorData:
    TABLE.to_csv(folder / "t.csv", index=False)
    columns = COLUMNS.get(split, {})
    ignored = {"patient", "part", "some", "fold", "day", "y", "z"} - {target, columns.get("split_column")}
    return data_sets.Csv(
        path=str(folder / "t.csv"),
        target=target,
        ignore=sorted(ignored),
        seed=3,
        split_seed=4,
        **columns,  # type: ignore[arg-type]
        **SETTINGS[settings],
    )


BUNDLED = {
    ("BreastCancer", "default"): ("ab0f6646d98bae55", "435e427f24ea7a5b", 19.603),
    ("BreastCancer", "fractions"): ("8a4c359f7f7cd423", "652f40217318eedf", 12.187),
    ("BreastCancer", "no validation"): ("59b0f77a59c6a218", "ec2f842012e0dc0c", 26.296),
    ("BreastCancer", "few rows"): ("565e6ea4f1864e01", "8ca6324c1d1672b8", -27.662),
    ("BreastCancer", "noise"): ("cba49b4b58d0986e", "435e427f24ea7a5b", 19.603),
    ("BreastCancer", "full batch"): ("6a7f61532be89b56", "39fa9c1765010754", -24.737),
    ("Diabetes", "default"): ("63c94269e34606ab", "63493178a298bc36", -0.238),
    ("Diabetes", "fractions"): ("b70a341ed0681900", "5d95f8437c019ba2", -8.123),
    ("Diabetes", "no validation"): ("d49cc07532971db9", "403292043350151f", -34.106),
    ("Diabetes", "few rows"): ("8af0d448ae4ebfc0", "2b3843dcfd234dd3", 13.801),
    ("Diabetes", "full batch"): ("378b1513a8822d65", "e1c4b27779536003", 36.759),
    ("Digits", "default"): ("be8d6882750ad328", "e17407d9cbf5c4db", 44.445),
    ("Digits", "fractions"): ("a47b91f5891e8ec6", "85e4b1aeca7fc28b", 46.199),
    ("Digits", "no validation"): ("46d79a3577603fff", "ab57055288170f8e", 0.145),
    ("Digits", "few rows"): ("9c7be0a3f0f019a5", "3427c23f1a4c3a89", 11.106),
    ("Digits", "noise"): ("a38401c3b4dcc409", "e17407d9cbf5c4db", 44.445),
    ("Digits", "full batch"): ("ed1526f9dc50b76f", "9e50018f1c6665b8", 91.657),
    ("Khan", "default"): ("23d4951434089efb", "53bbe3829e9dc43f", 250.228),
    ("Khan", "fractions"): ("eb5119b214ea0cbb", "e8907087213c73ce", -161.12),
    ("Khan", "no validation"): ("8942c1958b311083", "d939c044961539b7", -89.239),
    ("Khan", "few rows"): ("546dc6507d6e0861", "65588d629654e728", -271.417),
    ("Khan", "noise"): ("da8086bfde5a1c9e", "53bbe3829e9dc43f", 250.228),
    ("Khan", "predefined"): ("dde140f857109dbc", "92471a115ad22864", 460.182),
    ("Khan", "full batch"): ("72ebde4789f3484b", "6886964b3b73ac59", -17.668),
    ("Nci60", "default"): ("283a18d46a8e005b", "a23f557a76482c66", 250.885),
    ("Nci60", "fractions"): ("10a51e2e75d7ed48", "1bf89f06a2f082e1", -547.033),
    ("Nci60", "no validation"): ("49352dad6296e2f6", "537f6cde4e41e294", -502.092),
    ("Nci60", "noise"): ("990a05b6201b8f0b", "a23f557a76482c66", 250.885),
    ("Nci60", "full batch"): ("61be7a9d2ab44304", "feb825cc2f44f047", 749.772),
    ("SeedNoise", "default"): ("8975c69c2d318cc8", "509880df6131ae1c", 6.438),
    ("SeedNoise", "fractions"): ("a1738ab3fb7fbed7", "17c45d4189288c54", -17.203),
    ("SeedNoise", "no validation"): ("d596d290319bb5ff", "8d26922d07d6174b", 59.788),
    ("SeedNoise", "few rows"): ("9c4ec18696b2ab0c", "babf868bd7705214", -6.103),
    ("SeedNoise", "predefined"): ("8975c69c2d318cc8", "509880df6131ae1c", 6.438),
    ("SeedNoise", "full batch"): ("62e5e7b0bf07e509", "7a1d7af4fc16999d", -52.817),
    ("Wine", "default"): ("1ee0b19cbce94010", "1678f86084b40f41", 27.517),
    ("Wine", "fractions"): ("31699bed5ff36dc4", "4b1d18749b80f403", -2.38),
    ("Wine", "no validation"): ("836b2259e44c7b65", "5413708d1378ec0d", -55.753),
    ("Wine", "few rows"): ("bfe7968ad67768d1", "5dea94059fe59c77", 8.342),
    ("Wine", "noise"): ("5da935fbcc3d909d", "1678f86084b40f41", 27.517),
    ("Wine", "full batch"): ("e33bbe1d11ad1a06", "6da796c249afbc6f", -9.461),
    ("SpokenDigits", "default"): ("f6f538c3de416a29", "59bc7daf6b0068b6", -173.418),
    ("Mnist5k", "few rows"): ("43d4c177e92a4d0d", "d482cd3889468949", 5.083),
}
TABLES = {
    ("y", "random", "default"): ("3a197dd4d06bde82", "35431fe1e1d36965", 5.096),
    ("y", "random", "fractions"): ("928bc3c871231657", "92d5cc2f222f19b0", -19.17),
    ("y", "random", "few rows"): ("da3d00dc2cab5b4c", "4439dab2bc332558", 9.363),
    ("y", "random", "noise"): ("fd2548b870cadec8", "35431fe1e1d36965", 5.096),
    ("y", "random", "no validation"): ("2c4a6dbb952c54c7", "45962e5afd688d25", -8.123),
    ("y", "groups", "default"): ("e3454b95a4987759", "61804824e3c78cba", 0.294),
    ("y", "groups", "fractions"): ("188fd34b2d0e8da9", "4832d018003d69a3", 6.996),
    ("y", "groups", "few rows"): ("436e3a699d1c1ae5", "7868ac9f7a8079e8", 9.945),
    ("y", "groups", "noise"): ("2a576460dfa11eb6", "61804824e3c78cba", 0.294),
    ("y", "groups", "no validation"): ("beb7282b66e502cf", "14ad58a93c3149f3", 21.994),
    ("y", "parts", "default"): ("62ac2a192966c511", "c173c42df89944b0", -13.252),
    ("y", "parts", "few rows"): ("27cd4d06b4bb0aa1", "ba83eb915cc167e1", -11.603),
    ("y", "parts", "noise"): ("d79013d03d79eba6", "c173c42df89944b0", -13.252),
    ("y", "some parts", "default"): ("f5462ea37577730b", "55c89d27c78043d5", -9.336),
    ("y", "some parts", "few rows"): ("ea4b0329c4ae8b82", "82b2878f4f433870", 6.701),
    ("y", "some parts", "noise"): ("7e56b38bc177e4a7", "55c89d27c78043d5", -9.336),
    ("y", "some parts", "no validation"): ("9b0d0427dd01c92d", "ddb5d909066695b6", 1.798),
    ("y", "folds", "default"): ("19e8109a28a969e1", "b29c9e77f4ffb5f8", 1.824),
    ("y", "folds", "few rows"): ("b0924c1b80eb6d84", "a21d78979641062c", 10.058),
    ("y", "folds", "noise"): ("16b162d886ce964e", "b29c9e77f4ffb5f8", 1.824),
    ("y", "both folds", "default"): ("92d7806af039d2e9", "d3b296f1707866bf", 8.527),
    ("y", "both folds", "few rows"): ("365d05fb93269226", "6647b015d4f65675", -10.691),
    ("y", "both folds", "noise"): ("507f7181cce4c3c0", "d3b296f1707866bf", 8.527),
    ("y", "time", "default"): ("107127889be39db1", "707a7922140cea47", 8.902),
    ("y", "time", "fractions"): ("1c6f3e97fa5002c6", "707a7922140cea47", 8.902),
    ("y", "time", "few rows"): ("a03c6fd7de90a108", "422e53b0089c21b9", 2.419),
    ("y", "time", "noise"): ("207afdf2745860ba", "707a7922140cea47", 8.902),
    ("y", "time", "no validation"): ("79a2a2697d8dddb8", "a8722a5d75f20e84", 13.846),
    ("z", "random", "default"): ("e2977f35e0ee7918", "a7f81ea87ca6ff54", 4.092),
    ("z", "random", "fractions"): ("a49d46f7c05b54d7", "62c5b53bd2a6e8d0", -20.045),
    ("z", "random", "few rows"): ("2519d1fca91e991a", "4e58fca4186bcee0", 10.545),
    ("z", "random", "no validation"): ("a410b9ed7fca97fa", "a50239e315acd7ec", -5.811),
    ("z", "groups", "default"): ("5ca3c4db1f1e8e8a", "61804824e3c78cba", 0.294),
    ("z", "groups", "fractions"): ("2b65aeb29f09cab8", "4832d018003d69a3", 6.996),
    ("z", "groups", "few rows"): ("af1d7b89c076ba71", "c96ffda2bd58b517", 5.863),
    ("z", "groups", "no validation"): ("79c6d8a3d723e13a", "14ad58a93c3149f3", 21.994),
    ("z", "parts", "default"): ("51bf0d2b6d586b19", "c173c42df89944b0", -13.252),
    ("z", "parts", "few rows"): ("94f263c340458520", "d63442bfa3f5e1b6", -2.338),
    ("z", "some parts", "default"): ("e56ff62c29ae7676", "3c661bccf59a5b29", -5.324),
    ("z", "some parts", "few rows"): ("c83c3d9d78d5ae58", "de156520c5c96740", -1.03),
    ("z", "some parts", "no validation"): ("9e5cc0b189a73ca3", "592347cac20b924a", -15.963),
    ("z", "folds", "default"): ("bf32a1f46a25a952", "9a948e49b52b54ec", -25.089),
    ("z", "folds", "few rows"): ("aed307904b20fafe", "157ab961637d3961", -13.486),
    ("z", "both folds", "default"): ("33b76d60ff694e32", "d3b296f1707866bf", 8.527),
    ("z", "both folds", "few rows"): ("0b3fc7a98ff15525", "4fe456427c3c887c", -6.448),
    ("z", "time", "default"): ("b7f41da1f26714c5", "707a7922140cea47", 8.902),
    ("z", "time", "fractions"): ("d27ce231463e81da", "707a7922140cea47", 8.902),
    ("z", "time", "few rows"): ("9878464e60e73666", "422e53b0089c21b9", 2.419),
    ("z", "time", "no validation"): ("45c4a331bd693565", "a8722a5d75f20e84", 13.846),
}


@pytest.mark.parametrize(("name", "settings"), BUNDLED)
def test_bundled_data_are_split_and_standardized_as_recorded(name: str, settings: str) -> None:
    split, order, inputs = digests(bundled(name, settings))
    assert (split, order) == BUNDLED[name, settings][:2]
    assert inputs == pytest.approx(BUNDLED[name, settings][2], abs=2e-3)


@pytest.mark.parametrize(("target", "split", "settings"), TABLES)
def test_tables_are_split_and_standardized_as_recorded(tmp_path: Path, target: str, split: str, settings: str) -> None:
    hashes = digests(table(tmp_path, target, split, settings))
    assert hashes[:2] == TABLES[target, split, settings][:2]
    assert hashes[2] == pytest.approx(TABLES[target, split, settings][2], abs=2e-3)
