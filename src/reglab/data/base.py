"""The base class of data sets: load, split, add label noise, standardize, and batch."""

import hashlib
import math
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from reglab.data.batches import Batches
from reglab.data.preprocessing import mean_and_scale, to_float32
from reglab.data.settings import DEFAULT_FRACTION, check_common_settings, check_label_names, check_label_noise
from reglab.data.source import FittedInputs, Part, Source, absent_class_caveats, pooled_part_caveats
from reglab.data.splitting.random import RandomSplit, Rows, SplitSettings
from reglab.schema.constraints import SEED, Constraints
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.task_kinds import CLASS_LABELS, NUMBER_TARGETS, features_of
from reglab.seeding import mix
from reglab.wording import least_share


class TensorData(pl.LightningDataModule):
    """A data set in memory, split by seed. Subclasses implement ``load``.

    Class variables declare what checks of a config need before the data is loaded: ``kind`` of task; ``dims``, the
    number of dimensions of an example (1 for tables, 2 for signals, 3 for images); ``padded``, True if examples are
    sequences of different lengths, (features, longest) with NaN after their end.

    Args:
        name: name of the data set in tags and reports.
        seed: seed of label noise and batch order.
        split_seed: seed of the split.
        train_size: training rows kept; None: all. Validation and test do not depend on it.
        label_noise: share of training rows, 0 to 1, that get another class; not for regression.
        val_fraction: share of rows for validation; 0 skips it.
        test_fraction: share of rows for the test; 0 skips it; None: the predefined test rows.
        batch_size: rows of a training batch; None: full batch.

    Attributes:
        kind: kind of the task. This and the following attributes are set in ``setup``.
        input_shape: shape of one example.
        outputs: number of classes, or 1.
        class_names: names of the classes or labels, in order; empty: their numbers.
        rows: number of rows of the data set, with those that ``train_size`` drops; infinite if every split seed draws
            new rows.
        train: training rows; ``val`` and ``test`` are those of the other parts.
        parts: row numbers of the three parts.
        target_mean: with ``target_scale``, converts a standardized target back to its units.
        characters: for text, the number of characters of each token, int64 (tokens,); else None.
        notes: messages on the data for readers of the results.
        split_hash: hash of rows and training labels.
        order_hash: hash of the batches of two epochs.
    """

    inputs_description: ClassVar[str] = ""
    """Shape and scale of the inputs, in a sentence for the metadata of exported models."""
    kind: str
    dims: int
    padded: bool = False
    input_shape: tuple[int, ...]
    outputs: int
    class_names: tuple[str, ...]
    rows: float
    train: Part
    val: Part
    test: Part
    parts: Rows
    characters: Tensor | None = None
    notes: tuple[str, ...] = ()
    target_mean: float = 0.0
    target_scale: float = 1.0
    split_hash: str
    order_hash: str

    constraints: ClassVar[Constraints] = {"seed": SEED, "split_seed": SEED}

    def __init__(
        self,
        *,
        name: str,
        seed: int,
        split_seed: int,
        train_size: int | None = None,
        label_noise: float = 0.0,
        val_fraction: float = DEFAULT_FRACTION,
        test_fraction: float | None = DEFAULT_FRACTION,
        batch_size: int | None = 64,
    ) -> None:
        check_common_settings(train_size, label_noise, val_fraction, test_fraction, batch_size)
        super().__init__()
        self.name = name
        self.seed, self.split_seed = seed, split_seed
        self.train_size, self.label_noise = train_size, label_noise
        self.val_fraction, self.test_fraction = val_fraction, test_fraction
        self.batch_size = batch_size
        self._ready = False
        self._fitted_inputs: FittedInputs | None = None

    @abstractmethod
    def load(self) -> Source:
        """Read or make the whole data set; heavy libraries are imported here."""

    def setup(self, stage: str | None = None) -> None:
        """Load, split, add label noise, standardize. A second call does nothing.

        Raises:
            ConfigError: the data cannot be split with these settings, or label noise is set for a regression.
        """
        if not self._ready:
            self.use(self.load())

    def draw(self, source: Source, split_seed: int) -> Rows:
        """Return the rows of each part for a split seed.

        Raises:
            ConfigError: the data cannot be split with these settings.
        """
        targets = source.targets.numpy()
        classes = targets if CLASS_LABELS in features_of(self._kind_of(source)) else None
        splitter = source.splitter or RandomSplit(len(targets), source.held_out)
        sizes = (self.train_size, self.val_fraction, self.test_fraction)
        return splitter.split(SplitSettings(split_seed, *sizes, classes, source.class_names))

    def use(self, source: Source) -> None:
        """Set up the data from a loaded source; see `setup`."""
        self.kind = self._kind_of(source)
        check_label_names(source.labels)
        check_label_noise(self.label_noise, self.kind, str(self.name))
        targets = source.targets.numpy()
        self.rows = math.inf if source.fresh else len(targets)
        self.parts = self.draw(source, self.split_seed)
        targets = self._with_label_noise(targets, source.classes)
        self.split_hash = self._hash_split(targets)
        scaled = self._scale_target(targets, source)
        inputs = source.inputs
        if isinstance(inputs, FittedInputs):
            self._fitted_inputs = inputs
            inputs = inputs.tensor(self.parts.train)
        self.train, self.val, self.test = (
            Part(inputs[rows], scaled[rows])
            for rows in map(torch.from_numpy, (self.parts.train, self.parts.val, self.parts.test))
        )
        self.input_shape = tuple(inputs.shape[1:])
        self.dims = len(self.input_shape)
        self.outputs = source.classes or len(source.labels) or 1
        self.class_names = source.class_names or source.labels
        self.notes = (*source.notes, *self._part_caveats(source))
        self.order_hash = self._hash_order()
        self._ready = True

    def _kind_of(self, source: Source) -> str:
        return source.task_kind(getattr(type(self), "kind", None))

    def _part_caveats(self, source: Source) -> Iterator[str]:
        train = len(self.parts.train)
        if self.label_noise and not round(self.label_noise * train):
            yield f"data.label_noise={self.label_noise} replaces none of the {train} training labels"
        if self._fitted_inputs is not None:
            yield from self._fitted_inputs.caveats(self.parts)
        yield from pooled_part_caveats(source, self.test_fraction)
        if CLASS_LABELS in features_of(self.kind):
            yield from absent_class_caveats(source.targets.numpy(), source.class_names, self.parts)

    def _with_label_noise(self, targets: np.ndarray, classes: int | None) -> np.ndarray:
        if not self.label_noise or classes is None:
            return targets
        noisy = targets.copy()
        train = self.parts.train
        noisy[train] = replace_labels(targets[train], classes, self.label_noise, mix(self.seed, "label_noise"))
        return noisy

    def _scale_target(self, targets: np.ndarray, source: Source) -> Tensor:
        if NUMBER_TARGETS not in features_of(self.kind):
            return torch.from_numpy(targets)
        values = targets.astype(np.float64)
        if source.standardize_target:
            mean, scale = mean_and_scale(values[self.parts.train, None])
            self.target_mean, self.target_scale = float(mean[0]), float(scale[0]) or 1.0
            return torch.from_numpy(((values - self.target_mean) / self.target_scale).astype(np.float32))
        return torch.from_numpy(to_float32(values, "the target"))

    def _hash_split(self, targets: np.ndarray) -> str:
        rows = self.parts
        return _sha(rows.train, rows.val, rows.test, targets[rows.train])

    def _hash_order(self) -> str:
        loader = self.train_dataloader()
        orders = [self.parts.train[loader.order(epoch).numpy()] for epoch in range(2)]
        return _sha(np.array([loader.batch_size]), *orders)

    def limit(self, train: float | None = None, val: float | None = None, test: float | None = None) -> None:
        """Limit validation and test to their first batches, whose order is random; check the limit of training.

        Call it after ``setup``. A batch has `batch_size` rows here, also if evaluation uses larger ones. The other
        rows are removed from loaders, metrics and row counts.

        Args:
            train: number of training batches of an epoch, or a share of them; None: all. They are
                limited by the Trainer, which uses different ones in each epoch.
            val: the same for validation.
            test: the same for the test.

        Raises:
            ConfigError: a share leaves no batch.
        """
        _count_batches("train", train, self.train_rows, self.batch_size)
        for name, batches in (("val", val), ("test", test)):
            part = getattr(self, name)
            rows = min(
                len(part), _count_batches(name, batches, len(part), self.batch_size) * (self.batch_size or len(part))
            )
            setattr(self, name, Part(part.inputs[:rows], part.targets[:rows]))
            self.parts = replace(self.parts, **{name: getattr(self.parts, name)[:rows]})

    def move_to(self, device: torch.device | str) -> None:
        """Move all parts to a device; loaders made before keep the old tensors."""
        self.train, self.val, self.test = (part.to(device) for part in (self.train, self.val, self.test))

    @property
    def train_rows(self) -> int:
        """Number of training rows."""
        return len(self.train)

    @property
    def val_rows(self) -> int:
        """Number of validation rows."""
        return len(self.val)

    @property
    def test_rows(self) -> int:
        """Number of test rows."""
        return len(self.test)

    def train_dataloader(self) -> Batches:
        """Return the shuffled training batches."""
        return Batches(self.train.inputs, self.train.targets, self.batch_size, self.seed)

    def val_dataloader(self) -> list[Batches]:
        """Return loaders of the validation rows, and of as many training rows; empty without validation."""
        return [self._evaluation(self.val), self.train_eval_dataloader()] if self.val_rows else []

    def train_eval_dataloader(self) -> Batches:
        """Return a fixed sample of the training rows in order, as many as validation has (all if it has none)."""
        count = min(self.train_rows, self.val_rows or self.train_rows)
        return self._evaluation(Part(self.train.inputs[:count], self.train.targets[:count]))

    def test_dataloader(self) -> Batches:
        """Return the test rows in order."""
        return self._evaluation(self.test)

    def _evaluation(self, part: Part) -> Batches:
        return Batches(part.inputs, part.targets, max(self.evaluation_rows, self.batch_size or 0))

    @property
    def evaluation_rows(self) -> int:
        """Rows of an evaluation batch: without gradients larger batches are cheaper and fit in memory."""
        return 1024

    def features(self) -> list[dict[str, Any]]:
        """Return the origin of each input, with values fitted on the training rows; empty if inputs are unchanged.

        See `FittedInputs.describe`.
        """
        return self._fitted_inputs.describe(self.parts.train) if self._fitted_inputs else []

    def files(self) -> dict[str, str]:
        """Return files that a run must keep for its model to be used again: texts by artifact path."""
        return {}


def _count_batches(part: str, limit: float | None, rows: int, batch_size: int | None) -> int:
    """Return the number of batches of a part that are used; a share is rounded down, as in Lightning."""
    batches = -(-rows // (batch_size or max(rows, 1)))
    if limit is None or not batches:
        return batches
    used = min(int(limit) if isinstance(limit, int) else int(batches * limit), batches)
    if not used:
        raise ConfigError(
            Setting(f"trainer.limit_{part}_batches", limit),
            f"leaves none of {batches} batches",
            f"set a whole number of batches, or a share of at least {least_share(batches):g}",
        )
    return used


def replace_labels(labels: np.ndarray, classes: int, share: float, seed: int) -> np.ndarray:
    """Return the labels with ``round(share * n)`` of them replaced by another class, drawn uniformly.

    Args:
        labels: int64 (n,) from 0 to ``classes - 1``; not changed.
        classes: number of classes.
        share: share of the labels to replace, 0 to 1.
        seed: seed of the draws.
    """
    generator = np.random.default_rng(seed)
    replaced = generator.permutation(len(labels))[: round(share * len(labels))]
    noisy = labels.copy()
    noisy[replaced] = (labels[replaced] + generator.integers(1, classes, size=len(replaced))) % classes
    return noisy


def _sha(*arrays: np.ndarray) -> str:
    """Return the SHA-256 of arrays with their lengths: 16 hexadecimal digits, the same on every machine."""
    digest = hashlib.sha256()
    for array in arrays:
        wide = array.astype("<f8" if array.dtype.kind == "f" else "<i8")
        digest.update(len(wide).to_bytes(8, "little"))
        digest.update(wide.tobytes())
    return digest.hexdigest()[:16]
