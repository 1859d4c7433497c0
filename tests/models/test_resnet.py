"""Residual network for images, compared with published sizes and with the transformers library."""

import pytest
import torch
from torch import nn
from transformers import ResNetConfig, ResNetModel

from reglab.models import ResNet
from reglab.regularizers import StochasticDepth
from tests.errors import config_error


def test_resnet_18_has_as_many_weights_as_in_the_paper() -> None:
    weights = sum(p.numel() for p in ResNet((3, 224, 224), 1000, stem="large").parameters())
    assert weights == 11_689_512  # ResNet-18 of torchvision


def test_outputs_equal_transformers_with_the_same_weights() -> None:
    sizes, depths = [8, 16], [2, 1]
    reference = ResNetModel(
        ResNetConfig(num_channels=3, embedding_size=8, hidden_sizes=sizes, depths=depths, layer_type="basic")
    )
    model = ResNet((3, 48, 40), 5, channels=sizes, depths=depths, stem="large")
    # Both list modules in the order of the forward pass, except for the shortcut, which comes first in transformers.
    for stage, depth in enumerate(depths):
        for index in range(depth):
            block, layer = model.get_submodule(f"block_{stage}_{index}"), reference.encoder.stages[stage].layers[index]
            for part, source in ((block.branch, layer.layer), (block.shortcut, layer.shortcut)):
                part.load_state_dict(dict(zip(part.state_dict(), source.state_dict().values(), strict=True)))
    stem = nn.ModuleList([model.get_submodule("stem"), model.get_submodule("norm_0")])
    stem.load_state_dict(dict(zip(stem.state_dict(), reference.embedder.state_dict().values(), strict=True)))
    images = torch.randn(4, 3, 48, 40)
    model.train(), reference.train()
    torch.testing.assert_close(model(images), model.get_submodule("output")(reference(images).pooler_output.flatten(1)))


@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
def test_every_stage_but_the_first_halves_the_sides(norm: str) -> None:
    net = ResNet((1, 9, 8), 1, channels=[4, 6, 6], depths=[1, 2, 1], norm=norm)
    shapes = []
    for name, block in net.named_children():
        if name.startswith("block"):
            block.register_forward_hook(lambda block, inputs, output: shapes.append(tuple(output.shape[1:])))
    assert net(torch.randn(5, 1, 9, 8)).shape == (5,)
    assert shapes == [(4, 9, 8), (6, 5, 4), (6, 5, 4), (6, 3, 2)]
    assert len(StochasticDepth(p=0.1).attach(net)) == 4


def test_invalid_sizes_are_refused() -> None:
    with config_error("model=resnet: images ... (1, 40) ... residual_cnn"):
        ResNet((1, 40), 2)
    with config_error("model.depths=[2]: [4, 8] ... 2 stages"):
        ResNet((1, 8, 8), 2, channels=[4, 8], depths=[2])
