"""Our models in plain PyTorch: images a second in training and prediction, eager and compiled, in either precision.

Needs PyTorch alone, so it runs in an environment of its own; `benchmarks.training` calls it, with the sizes of the
default model and of the one with an encoder as JSON.
Example: `~/torch/bin/python -m benchmarks.torch_unet '{"default": {"stem": 32, "stages": [[48, 1]], "decoder": [32]},
"encoder": {"stem": 32, "blocks": [[16, 3, 1, 1], [24, 3, 2, 6]], "decoder": [32]}}'`
"""

import json
import os
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from benchmarks.peak import seconds
from benchmarks.torch_family import EfficientNetLite, Family
from benchmarks.torch_rates import CLASSES

ROUNDS = 5
TUTORIAL, DEFAULT = (16, 128, 128), (8, 128, 256)  # images, height, width


class Double(nn.Sequential):  # type: ignore[misc]  # the checks know no torch
    """Two 3x3 convolutions with ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        """From `inputs` to `outputs` channels."""
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(), nn.Conv2d(outputs, outputs, 3, padding=1), nn.ReLU()
        )


class UNet(nn.Module):  # type: ignore[misc]
    """The tutorial's: four blocks down, four up, with 64 to 1024 channels."""

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


def rates(build: Callable[[], Any], shape: tuple[int, int, int], reduction: int, precision: Any) -> dict[str, float]:
    """Images a second of training and prediction, eager and compiled; what cannot be compiled here is left out."""
    found: dict[str, float] = {}
    for way in ("eager", "compiled"):
        model = build().to(memory_format=torch.channels_last)
        try:
            found |= {f"{kind}_{way}": rate for kind, rate in _timed(model, shape, reduction, precision, way).items()}
        except Exception as error:  # without a compiler, for one; PyTorch has no one kind of error for it
            if way == "eager":
                raise
            print(f"not compiled: {str(error).splitlines()[0]}", file=sys.stderr)
    return found


def _timed(model: Any, shape: tuple[int, int, int], reduction: int, precision: Any, way: str) -> dict[str, float]:
    batch, height, width = shape
    images = torch.rand(batch, 3, height, width).to(memory_format=torch.channels_last)
    masks = torch.randint(0, CLASSES, (batch, height // reduction, width // reduction))
    optimizer, loss = torch.optim.AdamW(model.parameters(), fused=True), nn.CrossEntropyLoss()
    call = torch.compile(model) if way == "compiled" else model

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", precision, enabled=precision != torch.float32):
            found = loss(call(images), masks)
        found.backward()
        optimizer.step()

    train = seconds(step, ROUNDS)
    model.eval()
    if hasattr(model, "fold"):
        model.fold()
    answer = torch.compile(model) if way == "compiled" else model

    def predict() -> torch.Tensor:
        with torch.inference_mode(), torch.autocast("cpu", precision, enabled=precision != torch.float32):
            logits: torch.Tensor = answer(images)
            return logits

    return {"train": batch / train, "predict": batch / seconds(predict, ROUNDS)}


def main() -> None:
    """Measure; prints one JSON object by model and precision."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    sizes = json.loads(sys.argv[1])
    builds = {
        "tutorial": (UNet, TUTORIAL, 1),
        "default": (lambda: Family(**sizes["default"], classes=CLASSES), DEFAULT, 2),
        "encoder": (lambda: EfficientNetLite(**sizes["encoder"], classes=CLASSES), DEFAULT, 2),
    }
    found: dict[str, dict[str, dict[str, float]]] = {name: {} for name in builds}
    low = [torch.bfloat16] if _has_fast_bfloat16() else []
    for precision in (torch.float32, *low):
        for name, (build, shape, reduction) in builds.items():
            found[name][str(precision).partition(".")[2]] = rates(build, shape, reduction, precision)
    weights = {name: _weights(build()) for name, (build, *_) in builds.items()}
    print(json.dumps({"rates": found, "weights": weights}))


def _has_fast_bfloat16() -> bool:
    """Whether oneDNN may use instructions for it; else PyTorch emulates it, some ten times slower than float32."""
    return "ONEDNN_MAX_CPU_ISA" not in os.environ and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def _weights(model: Any) -> int:
    """How many a model learns, by which it can be seen to be the same one."""
    return sum(each.numel() for each in model.parameters())


if __name__ == "__main__":
    main()
