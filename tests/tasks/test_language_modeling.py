"""Cross entropy of the next token, by hand and by torch."""

import math

import pytest
import torch
from torch.nn import functional as F

from reglab.tasks import LanguageModeling

CHARACTERS = torch.tensor([0, 1, 2, 3, 1])


def logits_and_targets() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(7, 6, 5, generator=generator)
    targets = torch.randint(5, (7, 6), generator=generator)
    targets[-1, 4:] = -100
    return logits, targets


def test_metrics_of_batches_equal_those_of_the_full_text() -> None:
    logits, targets = logits_and_targets()
    task = LanguageModeling(CHARACTERS)
    collected = [task.collected(logits[rows], targets[rows]) for rows in (slice(0, 3), slice(3, 7))]
    metrics = task.metrics(*map(torch.cat, zip(*collected, strict=True)), full=True)
    counted = targets >= 0
    nats = -logits.double().log_softmax(-1)[counted].gather(-1, targets[counted].unsqueeze(-1)).sum()
    assert metrics["loss"].item() == pytest.approx(nats.item() / 40, rel=1e-6)
    assert metrics["perplexity"].item() == pytest.approx(math.exp(nats.item() / 40), rel=1e-6)
    characters = CHARACTERS[targets[counted]].sum().item()
    assert metrics["bits_per_character"].item() == pytest.approx(nats.item() / math.log(2) / characters, rel=1e-6)
    assert task.criterion(logits, targets).item() == pytest.approx(nats.item() / 40, rel=1e-6)


def test_the_loss_of_a_uniform_prediction_is_the_logarithm_of_the_vocabulary() -> None:
    task = LanguageModeling(torch.ones(8, dtype=torch.int64))
    metrics = task.metrics(*task.collected(torch.zeros(2, 3, 8), torch.ones(2, 3, dtype=torch.int64)), full=False)
    assert {name: round(value.item(), 6) for name, value in metrics.items()} == {
        "loss": round(math.log(8), 6),
        "perplexity": 8.0,
        "bits_per_character": 3.0,
    }


def test_without_characters_there_are_no_bits_per_character() -> None:
    task = LanguageModeling()
    assert set(task.metrics(*task.collected(*logits_and_targets()), full=True)) == {"loss", "perplexity"}


def test_the_criterion_runs_under_vmap() -> None:
    logits, targets = logits_and_targets()
    stacked = torch.vmap(LanguageModeling().criterion)(torch.stack([logits, 2 * logits]), torch.stack([targets] * 2))
    assert stacked[1].item() == pytest.approx(F.cross_entropy(2 * logits.transpose(1, 2), targets).item(), rel=1e-6)
