"""The family's U-Nets in plain PyTorch: the layers that `roadseg.train.models` builds, but for dropout."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval


class ConvNorm(nn.Module):  # type: ignore[misc]  # the checks know no torch
    """Convolution and normalisation, then ReLU where asked."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: int,
        stride: int = 1,
        relu: bool = True,
        groups: int = 1,
        cut: bool = False,
    ) -> None:
        """From `inputs` to `outputs` channels; `cut` is ReLU6."""
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, groups=groups, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(outputs, momentum=0.03)
        self.relu, self.activation = relu, functional.relu6 if cut else functional.relu

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute."""
        x = self.norm(self.conv(x))
        return self.activation(x, inplace=True) if self.relu else x

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


class WayUp(nn.Module):  # type: ignore[misc]
    """From an encoder's features to logits: light levels, the scene's mean added."""

    def __init__(self, levels: Sequence[int], decoder: Sequence[int], classes: int) -> None:
        """Take the channels of the features from the finest on, and those of the decoder's levels."""
        super().__init__()
        self.neck, self.scene = ConvNorm(levels[-1], decoder[-1], 1), nn.Conv2d(levels[-1], decoder[-1], 1)
        inputs = [*decoder[1:], decoder[-1]]
        self.up = nn.ModuleList(Up(*sizes) for sizes in zip(inputs, levels[:-1], decoder, strict=True))
        self.logits = nn.Conv2d(decoder[0], classes, 1)

    def forward(self, levels: Sequence[torch.Tensor]) -> torch.Tensor:
        """Compute; in evaluation enlarged to the image's size."""
        x = self.neck(levels[-1]) + self.scene(levels[-1].mean((2, 3), keepdim=True))
        for up, level in reversed(list(zip(self.up, levels[:-1], strict=True))):
            x = up(x, level)
        x = self.logits(x).float()
        return x if self.training else functional.interpolate(x, scale_factor=2, mode="bilinear")


class Foldable(nn.Module):  # type: ignore[misc]
    """A model whose normalisations can be folded away."""

    def fold(self) -> None:
        """Fold all of them, for prediction."""
        for module in self.modules():
            if isinstance(module, ConvNorm):
                module.fold()


class Family(Foldable):
    """Strided stages down, and the way up."""

    def __init__(self, stem: int, stages: Sequence[tuple[int, int]], decoder: Sequence[int], classes: int) -> None:
        """Build the layers; sizes as in `roadseg.train.models.unet.Config`."""
        super().__init__()
        widths = [stem, *(filters for filters, _ in stages)]
        self.stem = ConvNorm(3, stem, 3, 2)
        self.stages = nn.ModuleList(
            nn.Sequential(ConvNorm(before, filters, 3, 2), *(Residual(filters) for _ in range(blocks)))
            for before, (filters, blocks) in zip(widths, stages, strict=False)
        )
        self.way_up = WayUp(widths, decoder, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (N, K, H / 2, W / 2) of images (N, 3, H, W); in evaluation enlarged to (N, K, H, W)."""
        levels = [self.stem(x)]
        for stage in self.stages:
            levels.append(stage(levels[-1]))
        logits: torch.Tensor = self.way_up(levels)
        return logits


class Bottleneck(nn.Module):  # type: ignore[misc]
    """Widened by 1x1, each channel convolved, narrowed by 1x1; added to what came in where the shapes are equal."""

    def __init__(self, inputs: int, filters: int, size: int, stride: int, expand: int) -> None:
        """As `roadseg.train.models.encoders.efficientnet_lite.Block`."""
        super().__init__()
        inside, self.kept = inputs * expand, stride == 1 and inputs == filters
        widening = [ConvNorm(inputs, inside, 1, cut=True)] if expand != 1 else []
        by_channel = ConvNorm(inside, inside, size, stride, groups=inside, cut=True)
        self.layers = nn.Sequential(*widening, by_channel, ConvNorm(inside, filters, 1, relu=False))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute."""
        y: torch.Tensor = self.layers(x)
        return x + y if self.kept else y


class EfficientNetLite(Foldable):
    """EfficientNet-Lite's blocks down, and the way up."""

    def __init__(self, stem: int, blocks: Sequence[Sequence[int]], decoder: Sequence[int], classes: int) -> None:
        """Build the layers; blocks are filters, kernel size, stride and expansion."""
        super().__init__()
        self.stem, self.blocks, widths = ConvNorm(3, stem, 3, 2, cut=True), nn.ModuleList(), [stem]
        for filters, size, stride, expand in blocks:
            self.blocks.append(Bottleneck(widths[-1], filters, size, stride, expand))
            widths.append(filters)
        # the last block of each size
        self.taken = [n for n, block in enumerate(blocks) if n + 1 == len(blocks) or blocks[n + 1][2] == 2]
        self.way_up = WayUp([blocks[number][0] for number in self.taken], decoder, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits as `Family` has them."""
        x, levels = self.stem(x), []
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in self.taken:
                levels.append(x)
        logits: torch.Tensor = self.way_up(levels)
        return logits
