"""The U-Net that the public IDD tutorial trains, layer for layer: the baseline."""

import keras
from keras import layers

STRIDE = 16


def build(classes: int, filters: int = 64) -> keras.Model:
    """Build the tutorial's U-Net; 34.5 million parameters at 64 filters.

    Args:
        classes: number of classes K, void not among them.
        filters: width of the first encoder block; it doubles in each block below.

    Returns:
        A model from uint8 (N, H, W, 3) to float32 probabilities (N, H, W, K); H and W are
        multiples of 16.
    """
    image = keras.Input((None, None, 3), dtype="uint8", name="image")
    x = layers.Rescaling(1 / 255, name="to_unit_range")(image)
    skips = []
    for depth in range(4):
        x = _double_conv(x, filters << depth, f"encoder{depth}")
        skips.append(x)
        x = layers.MaxPooling2D(name=f"encoder{depth}_pool")(x)
        x = layers.Dropout(0.3, name=f"encoder{depth}_dropout")(x)
    x = _double_conv(x, filters << 4, "bottleneck")
    for depth in reversed(range(4)):
        name = f"decoder{depth}"
        x = layers.Conv2DTranspose(filters << depth, 3, strides=2, padding="same", name=f"{name}_up")(x)
        x = layers.Concatenate(name=f"{name}_skip")([x, skips[depth]])
        x = layers.Dropout(0.3, name=f"{name}_dropout")(x)
        x = _double_conv(x, filters << depth, name)
    x = layers.Conv2D(classes, 1, activation="softmax", dtype="float32", name="probabilities")(x)
    return keras.Model(image, x, name="tutorial")


def _double_conv(x: keras.KerasTensor, filters: int, name: str) -> keras.KerasTensor:
    for half in "ab":
        x = layers.Conv2D(
            filters, 3, padding="same", activation="relu", kernel_initializer="he_normal", name=f"{name}_{half}"
        )(x)
    return x
