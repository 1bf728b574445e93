"""The default: a residual U-Net with a light decoder, made for the most mIoU per minute.

Three strided stages see context cheaply, a global average adds the scene's, and the decoder adds
(not concatenates) 1x1 laterals at a constant width, so that the large grids cost little.
"""

import keras
from keras import layers

STRIDE = 16

STEM = 32
STAGES = ((48, 1), (96, 2), (192, 2))
DECODER = 48


def build(classes: int) -> keras.Model:
    """Build the default U-Net; about 2 million parameters.

    Args:
        classes: number of classes K, void not among them.

    Returns:
        A model from uint8 (N, H, W, 3) to float32 logits (N, H / 2, W / 2, K); H and W are
        multiples of 16. Training compares them with every second mask pixel; the bundle adds
        the bilinear step to full size.
    """
    image = keras.Input((None, None, 3), dtype="uint8", name="image")
    x = layers.Rescaling(1 / 64, offset=-2.0, name="to_about_unit_variance")(image)
    x = _conv(x, STEM, 3, 2, "stem")
    levels = [x]
    for number, (filters, blocks) in enumerate(STAGES):
        x = _conv(x, filters, 3, 2, f"stage{number}_down")
        for block in range(blocks):
            x = _residual(x, filters, f"stage{number}_block{block}")
        levels.append(x)
    x = _conv(x, DECODER, 1, 1, "neck")
    scene = layers.GlobalAveragePooling2D(keepdims=True, name="scene_mean")(levels[-1])
    x = layers.Add(name="scene_add")([x, layers.Conv2D(DECODER, 1, name="scene")(scene)])
    for number in reversed(range(len(levels) - 1)):
        x = layers.UpSampling2D(name=f"up{number}")(x)
        lateral = layers.Conv2D(DECODER, 1, use_bias=False, name=f"up{number}_lateral")(levels[number])
        x = layers.Add(name=f"up{number}_add")([x, lateral])
        x = _conv(x, DECODER, 3, 1, f"up{number}_mix")
    x = layers.Conv2D(classes, 1, dtype="float32", name="logits")(x)
    return keras.Model(image, x, name="small")


def _conv(x: keras.KerasTensor, filters: int, size: int, stride: int, name: str) -> keras.KerasTensor:
    return layers.ReLU(name=f"{name}_relu")(_conv_norm(x, filters, size, stride, name))


def _conv_norm(
    x: keras.KerasTensor, filters: int, size: int, stride: int, name: str, gamma: str = "ones"
) -> keras.KerasTensor:
    x = layers.Conv2D(filters, size, stride, padding="same", use_bias=False, kernel_initializer="he_normal", name=name)(
        x
    )
    return layers.BatchNormalization(momentum=0.97, gamma_initializer=gamma, name=f"{name}_norm")(x)


def _residual(x: keras.KerasTensor, filters: int, name: str) -> keras.KerasTensor:
    y = _conv(x, filters, 3, 1, f"{name}_a")
    y = _conv_norm(y, filters, 3, 1, f"{name}_b", gamma="zeros")  # starts as the identity
    return layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")([x, y]))
