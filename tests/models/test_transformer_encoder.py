"""Transformer encoder, compared with PyTorch layers with the same weights."""

import pytest
import torch
from torch import nn

from reglab.models import TransformerEncoder
from reglab.models.tokens import ImageTokens
from reglab.regularizers import AttentionDropout, Dropout, FeedForwardDropout, ResidualDropout, StochasticDepth
from tests.errors import config_error

SHAPES = [(5,), (3, 9), (2, 8, 12)]


def copied(net: TransformerEncoder) -> nn.TransformerEncoder:
    """Return an encoder of PyTorch with the weights of the blocks."""
    layer = nn.TransformerEncoderLayer(64, 4, 128, dropout=0.0, activation="gelu", batch_first=True, norm_first=True)
    encoder = nn.TransformerEncoder(layer, 2, norm=nn.LayerNorm(64), enable_nested_tensor=False)
    state = net.state_dict()
    names = {
        "self_attn.in_proj_": "{0}.branch.queries_keys_values.",
        "self_attn.out_proj.": "{0}.branch.mixed.",
        "linear1.": "{1}.branch.0.",
        "linear2.": "{1}.branch.2.",
        "norm1.": "{0}.norm.",
        "norm2.": "{1}.norm.",
    }
    copied_state = {f"norm.{part}": state[f"norm.{part}"] for part in ("weight", "bias")}
    for block in range(2):
        for name, source in names.items():
            for part in ("weight", "bias"):
                copied_state[f"layers.{block}.{name}{part}"] = state[
                    f"blocks.{source.format(2 * block, 2 * block + 1)}{part}"
                ]
    encoder.load_state_dict(copied_state)
    return encoder


@pytest.mark.parametrize("shape", SHAPES)
def test_the_blocks_equal_those_of_pytorch(shape: tuple[int, ...]) -> None:
    net = TransformerEncoder(shape, 3)
    for bias in (parameter for name, parameter in net.named_parameters() if name.endswith("bias")):
        nn.init.normal_(bias)
    inputs = torch.randn(4, *shape)
    features = copied(net)(net.tokens(inputs)).mean(1)
    torch.testing.assert_close(net(inputs), net.head(features), atol=1e-5, rtol=1e-5)


def test_patches_are_cut_row_by_row() -> None:
    tokens = ImageTokens((2, 8, 12), 5, 4)
    image = torch.randn(1, 2, 8, 12)
    weight, bias = tokens.patches.weight.flatten(1), tokens.patches.bias
    corners = [(0, 0), (0, 4), (0, 8), (4, 0), (4, 4), (4, 8)]
    patches = torch.stack([image[0, :, row : row + 4, column : column + 4].flatten() for row, column in corners])
    torch.testing.assert_close(tokens(image)[0], patches @ weight.T + bias + tokens.positions)


def test_a_token_is_a_value_times_its_direction() -> None:
    net = TransformerEncoder((3,), 2)
    row = torch.tensor([[1.0, 0.0, -2.0]])
    directions, positions = net.tokens.directions, net.tokens.positions
    torch.testing.assert_close(
        net.tokens(row)[0], torch.stack([directions[0], 0 * positions[1], -2 * directions[2]]) + positions
    )


def test_methods_for_decoders_find_their_modules() -> None:
    net = TransformerEncoder((3, 9), 3)
    assert AttentionDropout(p=0.1).attach(net) == ["blocks.0.branch", "blocks.2.branch"]
    assert FeedForwardDropout(p=0.1).attach(net) == ["blocks.1.branch.2", "blocks.3.branch.2"]
    assert len(ResidualDropout(p=0.1).attach(net)) == 4
    assert StochasticDepth(p=0.1).attach(net) == [f"blocks.{i}" for i in range(4)]
    assert Dropout(p=0.1).attach(net) == ["blocks.1.branch.1", "blocks.3.branch.1"]


def test_attention_dropout_acts_in_training_only() -> None:
    net, signals = TransformerEncoder((3, 9), 3), torch.randn(4, 3, 9)
    plain = net.eval()(signals)
    AttentionDropout(p=0.5).attach(net)
    assert torch.equal(net(signals), plain)
    assert not torch.equal(net.train()(signals), net(signals))


def test_sizes_that_do_not_divide_are_refused() -> None:
    with config_error("model.heads=5: model.width=64 ... multiple"):
        TransformerEncoder((4,), 2, heads=5)
    with config_error("model.patch_size=3: images of 8 x 8"):
        TransformerEncoder((1, 8, 8), 2, patch_size=3)
