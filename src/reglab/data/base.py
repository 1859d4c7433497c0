"""What all data sets share: parts as tensors, and the axes of an experiment on data."""

import hashlib
import math
from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from reglab.data.axes import FRACTION, check_axes, only_classes
from reglab.data.batches import Batches
from reglab.data.label_noise import flip
from reglab.data.source import Part, Source
from reglab.data.splits import Rows, Wish, split
from reglab.data.standardize import in_float32, moments
from reglab.schema.errors import ConfigError, Setting
from reglab.seeding import mix
from reglab.wording import join_names, join_options, least_share


class TensorData(pl.LightningDataModule):
    """A data set in memory, split by seed. Subclasses implement ``load``.

    Those that know say ``kind`` and ``dims`` in the class (how many dimensions one example has: 1 for tables, 2 for
    signals, 3 for images), where the check of a config reads them, and ``padded``: that the examples are sequences of
    different lengths, (features, longest) with NaN after their end.

    Args:
        name: the data set's name in tags and reports.
        seed: of label noise and batch order.
        split_seed: of the split.
        train_size: training rows kept; None: all. Validation and test do not depend on it.
        label_noise: share of training rows, 0 to 1, that get another class; not for regression.
        val_fraction: share of rows for validation; 0 skips it.
        test_fraction: share of rows for the test; 0 skips it; None: the data set's own test rows.
        batch_size: rows a training batch; None: full batch.

    After ``setup``: ``kind``, ``input_shape`` (without the batch), ``outputs`` (classes, or 1), ``class_names`` (empty:
    numbers), ``rows`` (of the whole data set, those that ``train_size`` leaves out included; infinite where every split
    seed has rows of its own), ``train``, ``val`` and ``test`` (Parts), ``parts`` (their row numbers), ``target_mean``
    and ``target_scale`` (they bring a standardized target back to its own units), ``characters`` (of text: how many
    each token stands for, int64 (tokens,), or None), ``remarks`` (sentences on what a reader of the results should know
    of the data), ``split_hash`` and ``order_hash``.
    """

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
    remarks: tuple[str, ...] = ()
    target_mean: float = 0.0
    target_scale: float = 1.0
    split_hash: str
    order_hash: str

    def __init__(
        self,
        *,
        name: str,
        seed: int,
        split_seed: int,
        train_size: int | None = None,
        label_noise: float = 0.0,
        val_fraction: float = FRACTION,
        test_fraction: float | None = FRACTION,
        batch_size: int | None = 64,
    ) -> None:
        check_axes(train_size, label_noise, val_fraction, test_fraction, batch_size)
        super().__init__()
        self.name = name
        self.seed, self.split_seed = seed, split_seed
        self.train_size, self.label_noise = train_size, label_noise
        self.val_fraction, self.test_fraction = val_fraction, test_fraction
        self.batch_size = batch_size
        self._ready = False
        self._described: Callable[[np.ndarray], list[dict[str, Any]]] | None = None

    @abstractmethod
    def load(self) -> Source:
        """Read or make the whole data set; heavy libraries are imported here."""

    def setup(self, stage: str | None = None) -> None:
        """Load, split, add label noise, standardize. A second call does nothing.

        Raises:
            ConfigError: the data cannot be split that way, or label noise is asked of a regression.
        """
        if not self._ready:
            self.use(self.load())

    def draw(self, source: Source, split_seed: int) -> Rows:
        """The rows of each part, for a seed of the split.

        Raises:
            ConfigError: the data cannot be split that way.
        """
        targets = source.targets.numpy()
        classes = targets if source.kind == "classification" else None
        if source.splitter is not None:
            sizes = (self.train_size, self.val_fraction, self.test_fraction)
            return source.splitter.split(Wish(split_seed, *sizes, classes, source.class_names))
        return split(
            len(targets),
            classes,
            split_seed=split_seed,
            train_size=self.train_size,
            val_fraction=self.val_fraction,
            test_fraction=self.test_fraction,
            held_out=source.held_out,
            class_names=source.class_names,
        )

    def use(self, source: Source) -> None:
        """Set up the data from a loaded source; see `setup`."""
        self.kind = source.kind
        self._refuse_noise()
        targets = source.targets.numpy()
        self.rows = math.inf if source.fresh else len(targets)
        self.parts = self.draw(source, self.split_seed)
        targets = self._noisy(targets, source.classes)
        self.split_hash = self._hash_split(targets)
        scaled = self._scaled(targets, source)
        inputs = source.inputs(self.parts.train) if callable(source.inputs) else source.inputs
        self._described = getattr(source.inputs, "described", None)
        self.train, self.val, self.test = (
            Part(inputs[rows], scaled[rows])
            for rows in map(torch.from_numpy, (self.parts.train, self.parts.val, self.parts.test))
        )
        self.input_shape = tuple(inputs.shape[1:])
        self.dims = len(self.input_shape)
        self.outputs = source.classes or 1
        self.class_names = source.class_names
        self.remarks = (*source.remarks, *self._remarks_on_parts(source, inputs))
        self.order_hash = self._hash_order()
        self._ready = True

    def _remarks_on_parts(self, source: Source, inputs: Tensor) -> Iterator[str]:
        """Report label noise that replaces no label, parts that are pooled, and parts that lack some of the classes."""
        train = len(self.parts.train)
        if self.label_noise and not round(self.label_noise * train):
            yield f"data.label_noise={self.label_noise} replaces none of the {train} training labels"
        if on_parts := getattr(source.inputs, "remarks_on", None):
            yield from on_parts(self.parts)
        yield from self._pooled(source)
        if source.kind != "classification":
            return
        targets = source.targets.numpy()
        for part, rows in (("validation", self.parts.val), ("test", self.parts.test)):
            there = np.unique(targets[rows])
            names = [str(source.class_names[one] if source.class_names else one) for one in np.unique(targets)]
            if len(there) == 1:
                name = source.class_names[there[0]] if source.class_names else there[0]
                yield f"all rows of the {part} part are of one class ({name}); its scores say little about the others"
            elif len(there) and len(there) < len(names):
                absent = [name for one, name in zip(np.unique(targets), names, strict=True) if one not in there]
                yield f"the {part} part has no row of class {join_options(absent)}; its scores say nothing about it"

    def _pooled(self, source: Source) -> Iterator[str]:
        """Report predefined parts (such as train and validation) that are pooled and split again."""
        held_out = source.held_out and source.splitter is None and self.test_fraction is None
        pooled = source.parts[:-1] if held_out else source.parts
        if len(pooled) < 2:
            return
        if held_out:
            yield f"the parts {join_names(pooled)} are pooled; validation rows are drawn from them by data.split_seed"
        elif source.splitter is not None or not source.held_out:
            yield f"the parts {join_names(pooled)} are pooled and split again"
        else:
            yield (
                f"the parts {join_names(pooled)} are pooled and split again by data.split_seed; "
                "data.test_fraction=null "
                f"tests on {pooled[-1]}"
            )

    def _refuse_noise(self) -> None:
        if self.kind != "classification" and self.label_noise:
            raise ConfigError(only_classes(self.label_noise, str(self.name), self.kind))

    def _noisy(self, targets: np.ndarray, classes: int | None) -> np.ndarray:
        if not self.label_noise or classes is None:
            return targets
        noisy = targets.copy()
        train = self.parts.train
        noisy[train] = flip(targets[train], classes, self.label_noise, mix(self.seed, "label_noise"))
        return noisy

    def _scaled(self, targets: np.ndarray, source: Source) -> Tensor:
        if source.kind != "regression":
            return torch.from_numpy(targets)
        values = targets.astype(np.float64)
        if source.standardize_target:
            mean, scale = moments(values[self.parts.train, None])
            self.target_mean, self.target_scale = float(mean[0]), float(scale[0]) or 1.0
            return torch.from_numpy(((values - self.target_mean) / self.target_scale).astype(np.float32))
        return torch.from_numpy(in_float32(values, "the target"))

    def _hash_split(self, targets: np.ndarray) -> str:
        rows = self.parts
        return _sha(rows.train, rows.val, rows.test, targets[rows.train])

    def _hash_order(self) -> str:
        loader = self.train_dataloader()
        orders = [self.parts.train[loader.order(epoch).numpy()] for epoch in range(2)]
        return _sha(np.array([loader.batch_size]), *orders)

    def limit(self, train: float | None = None, val: float | None = None, test: float | None = None) -> None:
        """Keep the first batches of validation and test rows, whose order is random; check the limit of training.

        Call it after ``setup``. A batch has `batch_size` rows here, also if evaluation uses larger ones. The other
        rows are removed from loaders, figures and row counts.

        Args:
            train: batches of an epoch that are trained on, a whole number or a share of them; None: all. They are
                counted by the Trainer, which takes others in each epoch.
            val: of validation.
            test: of the test.

        Raises:
            ConfigError: a share leaves no batch.
        """
        _batches_left("train", train, self.train_rows, self.batch_size)
        for name, batches in (("val", val), ("test", test)):
            part = getattr(self, name)
            rows = min(
                len(part), _batches_left(name, batches, len(part), self.batch_size) * (self.batch_size or len(part))
            )
            setattr(self, name, Part(part.inputs[:rows], part.targets[:rows]))
            self.parts = replace(self.parts, **{name: getattr(self.parts, name)[:rows]})

    def place(self, device: torch.device | str) -> None:
        """Move all parts to a device; loaders made before keep the old tensors."""
        self.train, self.val, self.test = (part.to(device) for part in (self.train, self.val, self.test))

    @property
    def train_rows(self) -> int:
        """Training rows."""
        return len(self.train)

    @property
    def val_rows(self) -> int:
        """Validation rows."""
        return len(self.val)

    @property
    def test_rows(self) -> int:
        """Test rows."""
        return len(self.test)

    def train_dataloader(self) -> Batches:
        """Shuffled training batches."""
        return Batches(self.train.inputs, self.train.targets, self.batch_size, self.seed)

    def val_dataloader(self) -> list[Batches]:
        """Validation rows, then as many training rows; empty without validation."""
        return [self._evaluation(self.val), self.train_eval_dataloader()] if self.val_rows else []

    def train_eval_dataloader(self) -> Batches:
        """A fixed sample of the training rows, as many as validation has (all where it has none), in order."""
        count = min(self.train_rows, self.val_rows or self.train_rows)
        return self._evaluation(Part(self.train.inputs[:count], self.train.targets[:count]))

    def test_dataloader(self) -> Batches:
        """Test rows in order."""
        return self._evaluation(self.test)

    def _evaluation(self, part: Part) -> Batches:
        return Batches(part.inputs, part.targets, max(self.evaluation_rows, self.batch_size or 0))

    @property
    def evaluation_rows(self) -> int:
        """Rows of a batch of evaluation: without gradients larger batches are cheaper and fit."""
        return 1024

    def features(self) -> list[dict[str, Any]]:
        """Describe each input, with the values fitted on the training rows; empty if inputs are used unchanged.

        See `reglab.data.standardize.Standardized.described` and those of other inputs.
        """
        return self._described(self.parts.train) if self._described else []

    def files(self) -> dict[str, str]:
        """Files that a run must keep for its model to be used again: texts by artifact path."""
        return {}


def _batches_left(part: str, limit: float | None, rows: int, batch_size: int | None) -> int:
    """Number of batches of a part that are used; of a share only whole batches, as in Lightning."""
    batches = -(-rows // (batch_size or max(rows, 1)))
    if limit is None or not batches:
        return batches
    left = min(int(limit) if isinstance(limit, int) else int(batches * limit), batches)
    if not left:
        raise ConfigError(
            Setting(f"trainer.limit_{part}_batches", limit),
            f"leaves none of {batches} batches",
            f"take a whole number of them, or a share of at least {least_share(batches):g}",
        )
    return left


def _sha(*arrays: np.ndarray) -> str:
    """SHA-256 of arrays with their lengths: 16 hexadecimal digits, the same on every machine."""
    digest = hashlib.sha256()
    for array in arrays:
        wide = array.astype("<f8" if array.dtype.kind == "f" else "<i8")
        digest.update(len(wide).to_bytes(8, "little"))
        digest.update(wide.tobytes())
    return digest.hexdigest()[:16]
