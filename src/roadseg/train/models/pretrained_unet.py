"""A pretrained encoder with the family's decoder."""

import keras
from keras import layers

from roadseg.train.models.encoders.known import Encoder
from roadseg.train.models.unet import Decoder, conv, decoded

DECODER = Decoder(widths=(32, 64, 64, 96), dropout=0.1, up="bilinear")
STRIDE = 32
FINE = 32  # filters of a level that an encoder lacks


def build(encoder: Encoder, decoder: Decoder, name: str, classes: int) -> keras.Model:
    """Build a U-Net around an encoder.

    Args:
        encoder: which.
        decoder: of the family; has a width for each level above the deepest.
        name: of the model.
        classes: number of classes K, void not among them.

    Returns:
        A model as `unet.build` makes it; H and W are multiples of 32.
    """
    features = encoder_model(encoder)
    image, levels = features.inputs[0], list(features.outputs)
    if 2 not in encoder.layers.levels:  # the patches of ConvNeXt are four pixels wide
        scaled = layers.Rescaling(1 / 64, offset=-2.0, name="to_about_unit_variance")(image)
        levels.insert(0, conv(scaled, FINE, 3, 2, "fine"))
    return decoded(image, levels, decoder, name, classes)


def encoder_model(encoder: Encoder) -> keras.Model:
    """The encoder alone: from uint8 (N, H, W, 3) to its features, from the finest."""
    image = keras.Input((None, None, 3), dtype="uint8", name="image")
    whole, names = keras.Model(image, encoder.layers.build(image)), encoder.layers.levels
    return keras.Model(image, [whole.get_layer(names[stride]).output for stride in sorted(names)])


def encoder_paths(model: keras.Model, encoder: Encoder | None) -> list[str]:
    """Paths of the variables that a model's encoder has, in order; none without an encoder.

    Args:
        model: as `build` made it.
        encoder: its own.
    """
    if encoder is None:
        return []
    ends = [model.get_layer(name).output for name in encoder.layers.levels.values()]
    return [weight.path for layer in keras.Model(model.inputs, ends).layers for weight in layer.weights]
