"""What the encoders are made of: convolution, normalisation and activation, and the inverted bottleneck."""

from math import ceil

import keras
from keras import layers

from roadseg.train.models.fast import FusedNormalization

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's colours, 0..1


def imagenet_colours(image: keras.KerasTensor) -> keras.KerasTensor:
    """Each colour of 0..255 less ImageNet's mean, by its deviation."""
    scale = [1 / (255 * deviation) for deviation in DEVIATION]
    offset = [-mean / deviation for mean, deviation in zip(MEAN, DEVIATION, strict=True)]
    return layers.Rescaling(scale, offset, name="imagenet_colours")(image)


def symmetric_colours(image: keras.KerasTensor, middle: float = 127.5, half: float = 127.5) -> keras.KerasTensor:
    """Each colour of 0..255 brought to about -1..1."""
    return layers.Rescaling(1 / half, -middle / half, name="symmetric_colours")(image)


def normalised(x: keras.KerasTensor, name: str, epsilon: float = 1e-3) -> keras.KerasTensor:
    """Batch normalisation whose averages follow as fast as the family's: a fine-tuning has few steps."""
    return FusedNormalization(momentum=0.97, epsilon=epsilon, name=name)(x)


def activated(x: keras.KerasTensor, kind: str, name: str) -> keras.KerasTensor:
    """An activation by name; `relu6` is cut at 6."""
    if kind in ("relu", "relu6"):
        return layers.ReLU(6.0 if kind == "relu6" else None, name=name)(x)
    return layers.Activation(kind, name=name)(x)


def pointwise(x: keras.KerasTensor, filters: int, name: str, size: int = 1, stride: int = 1) -> keras.KerasTensor:
    """A convolution that a normalisation follows; most are 1x1."""
    return layers.Conv2D(filters, size, stride, padding="same", use_bias=False, name=name)(x)


def depthwise(x: keras.KerasTensor, size: int, stride: int, name: str) -> keras.KerasTensor:
    """A convolution of each channel by itself, that a normalisation follows."""
    return by_channel(x, size, stride, name, bias=False)


def by_channel(x: keras.KerasTensor, size: int, stride: int, name: str, bias: bool) -> keras.KerasTensor:
    """A depthwise convolution, in float32 whatever the policy: processors' kernels for bfloat16 are far slower."""
    return layers.DepthwiseConv2D(size, stride, "same", use_bias=bias, dtype="float32", name=name)(x)


def rescaled_channels(
    x: keras.KerasTensor, squeezed: int, names: tuple[str, str, str, str], kinds: tuple[str, str]
) -> keras.KerasTensor:
    """Squeeze and excite: each channel times a factor that follows from all channels' means.

    Args:
        x: float (N, H, W, C).
        squeezed: channels between.
        names: of the mean, of both convolutions and of the product.
        kinds: activations of the convolutions.
    """
    mean, reduce, expand, product = names
    factor = layers.GlobalAveragePooling2D(keepdims=True, name=mean)(x)
    factor = layers.Conv2D(squeezed, 1, activation=kinds[0], name=reduce)(factor)
    factor = layers.Conv2D(x.shape[-1], 1, activation=kinds[1], name=expand)(factor)
    return layers.Multiply(name=product)([x, factor])


def inverted_bottleneck(
    x: keras.KerasTensor, filters: int, size: int, stride: int, expand: int, squeeze: float, kind: str, name: str
) -> keras.KerasTensor:
    """Widen by 1x1, convolve each channel, narrow by 1x1; added to what came in where the shapes are equal.

    Args:
        x: float (N, H, W, C).
        filters: that come out.
        size, stride: of the depthwise convolution.
        expand: how many times as wide it is inside.
        squeeze: channels of the squeeze over C; 0: there is none.
        kind: of the activations.
        name: in front of the layers' names.

    Source: Sandler et al., "MobileNetV2", CVPR 2018; the names are those of Keras' EfficientNetV2.
    """
    given, channels = x, x.shape[-1]
    if expand != 1:
        x = pointwise(x, expand * channels, f"{name}expand_conv")
        x = activated(normalised(x, f"{name}expand_bn"), kind, f"{name}expand_activation")
    x = depthwise(x, size, stride, f"{name}dwconv2")
    x = activated(normalised(x, f"{name}bn"), kind, f"{name}activation")
    if squeeze:
        names = (f"{name}se_squeeze", f"{name}se_reduce", f"{name}se_expand", f"{name}se_excite")
        x = rescaled_channels(x, max(1, int(channels * squeeze)), names, (kind, "sigmoid"))
    x = normalised(pointwise(x, filters, f"{name}project_conv"), f"{name}project_bn")
    return layers.Add(name=f"{name}add")([x, given]) if stride == 1 and channels == filters else x


def wider(filters: int, factor: float) -> int:
    """Filters times a factor, as the nearest multiple of 8."""
    return max(8, int(filters * factor + 4) // 8 * 8)


def deeper(blocks: int, factor: float) -> int:
    """Blocks times a factor, rounded up."""
    return ceil(blocks * factor)
