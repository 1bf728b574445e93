"""The tutorial's U-Net in plain PyTorch: images per second in training and prediction, in either precision.

Needs PyTorch alone, so it runs in an environment of its own; `benchmarks.training` calls it.
Example: `~/torch/bin/python -m benchmarks.torch_unet`
"""

import json
import os

import torch
from torch import nn

from benchmarks.peak import seconds

BATCH, SIDE, CLASSES, ROUNDS = 16, 128, 7, 3


class Double(nn.Sequential):  # type: ignore[misc]  # the checks know no torch
    """Two 3x3 convolutions with ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        """From `inputs` to `outputs` channels."""
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(), nn.Conv2d(outputs, outputs, 3, padding=1), nn.ReLU()
        )


class UNet(nn.Module):  # type: ignore[misc]
    """Four blocks down, four up, with 64 to 1024 channels."""

    def __init__(self) -> None:
        """Build the layers."""
        super().__init__()
        widths = [64, 128, 256, 512]
        self.down = nn.ModuleList(Double(*pair) for pair in zip([3, *widths], widths, strict=False))
        self.bottom = Double(512, 1024)
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(2 * width, width, 3, stride=2, padding=1, output_padding=1) for width in widths
        )
        self.mix = nn.ModuleList(Double(2 * width, width) for width in widths)
        self.drop, self.pool, self.head = nn.Dropout(0.3), nn.MaxPool2d(2), nn.Conv2d(64, CLASSES, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (N, K, H, W) of images (N, 3, H, W)."""
        skips = []
        for block in self.down:
            skips.append(block(x))
            x = self.drop(self.pool(skips[-1]))
        x = self.bottom(x)
        for up, mix, skip in reversed(list(zip(self.up, self.mix, skips, strict=True))):
            x = mix(self.drop(torch.cat([up(x), skip], 1)))
        logits: torch.Tensor = self.head(x)
        return logits


def rates(precision: torch.dtype) -> dict[str, float]:
    """Images per second."""
    model = UNet().to(memory_format=torch.channels_last)
    images = torch.rand(BATCH, 3, SIDE, SIDE).to(memory_format=torch.channels_last)
    masks = torch.randint(0, CLASSES, (BATCH, SIDE, SIDE))
    optimizer, loss = torch.optim.Adam(model.parameters()), nn.CrossEntropyLoss()

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", precision, enabled=precision != torch.float32):
            found = loss(model(images), masks)
        found.backward()
        optimizer.step()

    def predict() -> torch.Tensor:
        with torch.inference_mode(), torch.autocast("cpu", precision, enabled=precision != torch.float32):
            return model(images).argmax(1)

    train = seconds(step, ROUNDS)
    model.eval()
    return {"train": BATCH / train, "predict": BATCH / seconds(predict, ROUNDS)}


def main() -> None:
    """Measure; prints one JSON object by precision."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    print(json.dumps({str(kind).partition(".")[2]: rates(kind) for kind in (torch.float32, torch.bfloat16)}))


if __name__ == "__main__":
    main()
