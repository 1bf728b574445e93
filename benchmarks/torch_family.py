"""The family's U-Net in plain PyTorch, the same layers as `roadseg.train.models.unet` builds."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval


class ConvNorm(nn.Module):  # type: ignore[misc]  # the checks know no torch
    """Convolution and normalisation, then ReLU where asked."""

    def __init__(self, inputs: int, outputs: int, size: int, stride: int = 1, relu: bool = True) -> None:
        """From `inputs` to `outputs` channels."""
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(outputs, momentum=0.03)
        self.relu = relu

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute."""
        x = self.norm(self.conv(x))
        return functional.relu(x, inplace=True) if self.relu else x

    def fold(self) -> None:
        """Make one convolution of both, for prediction."""
        self.conv, self.norm = fuse_conv_bn_eval(self.conv, self.norm), nn.Identity()


class Residual(nn.Module):  # type: ignore[misc]
    """Two 3x3 convolutions added to what came in."""

    def __init__(self, filters: int) -> None:
        """With so many channels."""
        super().__init__()
        self.a, self.b = ConvNorm(filters, filters, 3), ConvNorm(filters, filters, 3, relu=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute."""
        return functional.relu(x + self.b(self.a(x)), inplace=True)


class Up(nn.Module):  # type: ignore[misc]
    """Twice the size, the encoder's features added, and mixed."""

    def __init__(self, inputs: int, level: int, filters: int) -> None:
        """From `inputs` channels, and `level` of the encoder's."""
        super().__init__()
        self.narrow = nn.Conv2d(inputs, filters, 1, bias=False) if inputs != filters else nn.Identity()
        self.lateral = nn.Conv2d(level, filters, 1, bias=False)
        self.mix = ConvNorm(filters, filters, 3)

    def forward(self, x: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        """Compute."""
        x = functional.interpolate(self.narrow(x), scale_factor=2, mode="bilinear")
        return self.mix(x + self.lateral(level))


class Family(nn.Module):  # type: ignore[misc]
    """Strided stages down, light levels up, the scene's mean added."""

    def __init__(self, stem: int, stages: Sequence[tuple[int, int]], decoder: Sequence[int], classes: int) -> None:
        """Build the layers; sizes as in `roadseg.train.models.unet.Config`."""
        super().__init__()
        widths = [stem, *(filters for filters, _ in stages)]
        self.stem = ConvNorm(3, stem, 3, 2)
        self.stages = nn.ModuleList(
            nn.Sequential(ConvNorm(before, filters, 3, 2), *(Residual(filters) for _ in range(blocks)))
            for before, (filters, blocks) in zip(widths, stages, strict=False)
        )
        self.neck, self.scene = ConvNorm(widths[-1], decoder[-1], 1), nn.Conv2d(widths[-1], decoder[-1], 1)
        inputs = [*decoder[1:], decoder[-1]]
        self.up = nn.ModuleList(Up(*sizes) for sizes in zip(inputs, widths[:-1], decoder, strict=True))
        self.logits = nn.Conv2d(decoder[0], classes, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (N, K, H / 2, W / 2) of images (N, 3, H, W); in evaluation enlarged to (N, K, H, W)."""
        levels = [self.stem(x)]
        for stage in self.stages:
            levels.append(stage(levels[-1]))
        x = self.neck(levels[-1]) + self.scene(levels[-1].mean((2, 3), keepdim=True))
        for up, level in reversed(list(zip(self.up, levels[:-1], strict=True))):
            x = up(x, level)
        x = self.logits(x).float()
        return x if self.training else functional.interpolate(x, scale_factor=2, mode="bilinear")

    def fold(self) -> None:
        """Fold all normalisations, for prediction."""
        for module in self.modules():
            if isinstance(module, ConvNorm):
                module.fold()
