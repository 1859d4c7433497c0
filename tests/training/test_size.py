"""Networks larger than the memory of the machine are refused before weights are allocated."""

import time

import pytest

from reglab.config.compose import compose
from reglab.schema.errors import ConfigError
from reglab.training.build import sized_model

HUGE = 999_999_999


@pytest.mark.slow
@pytest.mark.parametrize(
    ("typed", "shape"),
    [
        (f"model.hidden_sizes=[{HUGE}]", (1, 8, 8)),
        (f"model.hidden_sizes=[{HUGE},{HUGE},{HUGE}]", (1, 8, 8)),
        (f"model=cnn model.channels=[{HUGE},{HUGE}]", (1, 8, 8)),
        (f"model=gru model.hidden_sizes=[{HUGE}]", (13, 92)),
        (f"model=transformer_encoder model.feed_forward_units={HUGE}", (1, 8, 8)),
        (f"model=transformer_encoder model.width={HUGE - 3}", (1, 8, 8)),
        (f"data=python_docs model=llama model.intermediate_size={HUGE}", (128,)),
    ],
)
def test_sizes_beyond_the_memory_are_refused(typed: str, shape: tuple[int, ...]) -> None:
    key = typed.split()[-1].partition("=")[0]
    began = time.process_time()
    with pytest.raises(ConfigError, match=rf"^{key}=.*(this machine has|exceed 64 bits)"):
        sized_model(compose(typed.split()), shape, 10)
    assert time.process_time() - began < 10  # mostly for the import of transformers


@pytest.mark.parametrize("model", ["cnn", "residual_cnn"])
def test_a_kernel_larger_than_the_padded_input_is_refused(model: str) -> None:
    sized_model(compose([f"model={model}", "model.kernel_size=15"]), (1, 8, 8), 10)
    with pytest.raises(ConfigError, match=r"^model\.kernel_size=17: .*; at most 15$"):
        sized_model(compose([f"model={model}", "model.kernel_size=17"]), (1, 8, 8), 10)


def test_weights_of_a_large_network_that_fits_are_reproducible() -> None:
    few, many = (sized_model(compose([f"model.hidden_sizes=[{units}]"]), (64,), 2) for units in (1024, 1025))
    assert [sum(weight.numel() for weight in model.parameters()) for model in (few, many)] == [
        units * (64 + 1) + 2 * (units + 1) for units in (1024, 1025)
    ]
    again = sized_model(compose(["model.hidden_sizes=[1025]"]), (64,), 2)
    assert all(a.equal(b) for a, b in zip(many.parameters(), again.parameters(), strict=True))
    assert all(weight.device.type == "cpu" for weight in many.parameters())
