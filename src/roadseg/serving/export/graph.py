"""From a bundle's model to an ONNX graph, by the few layer types that our models have.

Keras' own export writes four times as many nodes, which compute the shape of every layer again.
"""

from typing import Any

import keras
import numpy as np
import onnx
from keras import layers
from onnx import TensorProto, helper, numpy_helper

from roadseg.contracts.errors import UsageError
from roadseg.predict.enlarging import first_of_doubling, makers_of

OPSET, IR_VERSION = 17, 8  # of 2022: what is much newer, runtimes of phones and cars do not know
OUTPUT = "scores"  # logits or probabilities, which the file says of itself
ACTIVATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "relu": ("Relu", {}),
    "softmax": ("Softmax", {"axis": 1}),
    "sigmoid": ("Sigmoid", {}),
    "hard_sigmoid": ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
    "hard_silu": ("HardSwish", {}),
}


def to_onnx(model: keras.Model, size: tuple[int, int] | None, about: dict[str, str]) -> onnx.ModelProto:
    """Convert a model; equal models give equal bytes.

    Args:
        model: of a bundle: uint8 (N, H, W, 3) to float32 (N, H, W, K).
        size: height and width to fix; any multiples of the stride without it. The batch is never fixed.
        about: what the file is to say of itself.

    Raises:
        UsageError: a layer is of a kind, or has an option, that no model of ours has.
    """
    return _Graph(model).whole(size, about)


class _Graph:
    """The nodes so far; inside, tensors are (N, C, H, W) and named as the layer that makes them."""

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self._makers = makers_of(model)
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._known: dict[int, str] = {}

    def whole(self, size: tuple[int, int] | None, about: dict[str, str]) -> onnx.ModelProto:
        inner, taken = self._tensor(self._model.outputs[0]), self._model.inputs[0].name
        self._node("Transpose", OUTPUT, [inner], perm=[0, 2, 3, 1])
        sides: list[str | int | None] = [*(size or ("height", "width"))]
        channels = int(self._model.outputs[0].shape[-1])
        graph = helper.make_graph(
            self._nodes,
            self._model.name,
            [helper.make_tensor_value_info(taken, TensorProto.UINT8, ["batch", *sides, 3])],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", *sides, channels])],
            list(self._constants.values()),
        )
        found = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        helper.set_model_props(found, dict(sorted(about.items())))
        onnx.checker.check_model(found, full_check=True)
        return found

    def _tensor(self, tensor: Any) -> str:
        """The name of a layer's output, whose nodes are added at its first use."""
        if id(tensor) not in self._known:
            layer = self._makers[id(tensor)]
            if (first := first_of_doubling(layer, self._makers)) is not None:
                name = self._resize(layer.name, self._tensor(first.input), (2, 2), "bilinear")
            else:
                name = self._layer(layer)
            self._known[id(tensor)] = name
        return self._known[id(tensor)]

    def _layer(self, layer: Any) -> str:
        kind, name = type(layer), layer.name
        if kind is layers.InputLayer:
            first = self._node("Cast", f"{name}_float", [layer.output.name], to=TensorProto.FLOAT)
            return self._node("Transpose", f"{name}_channels_first", [first], perm=[0, 3, 1, 2])
        given = layer.input if isinstance(layer.input, list) else [layer.input]
        inputs = [self._tensor(each) for each in given]
        if kind is layers.Rescaling:
            scale, offset = (_by_channel(each) for each in (layer.scale, layer.offset))
            scaled = self._node("Mul", f"{name}_scaled", [inputs[0], self._constant(f"{name}_scale", scale)])
            return self._node("Add", name, [scaled, self._constant(f"{name}_offset", offset)])
        if kind in (layers.Conv2D, layers.Conv2DTranspose, layers.DepthwiseConv2D):
            return self._convolution(layer, inputs[0])
        if kind is layers.UpSampling2D:
            return self._resize(name, inputs[0], layer.size, layer.interpolation)
        if kind in (layers.MaxPooling2D, layers.AveragePooling2D):
            pads = {"kernel_shape": layer.pool_size, "strides": layer.strides, "pads": _pads(layer, layer.pool_size)}
            return self._node("MaxPool" if kind is layers.MaxPooling2D else "AveragePool", name, inputs, **pads)
        if kind is layers.GlobalAveragePooling2D and layer.keepdims:
            return self._node("GlobalAveragePool", name, inputs)
        if kind is layers.ReLU and (layer.negative_slope, layer.threshold) == (0, 0):
            return self._relu(name, inputs[0], layer.max_value)
        if kind is layers.Activation:
            return self._activation(layer.activation.__name__, inputs[0], name)
        if kind in (layers.Add, layers.Multiply) and len(inputs) == 2:
            return self._node("Add" if kind is layers.Add else "Mul", name, inputs)
        if kind is layers.LayerNormalization and layer.axis in (-1, [-1], [3]) and layer.scale and layer.center:
            return self._normalisation(layer, inputs[0])
        if kind is layers.ZeroPadding2D:
            (top, bottom), (left, right) = layer.padding
            sides = self._constant(f"{name}_sides", [0, 0, top, left, 0, 0, bottom, right], np.int64)
            return self._node("Pad", name, [inputs[0], sides])
        if kind is layers.Concatenate and layer.axis in (-1, 3):
            return self._node("Concat", name, inputs, axis=1)
        if kind in (layers.Dropout, layers.SpatialDropout2D):  # nothing but in training
            return inputs[0]
        raise UsageError(f"layer {name} is a {kind.__name__} of a kind that has no form in ONNX here")

    def _convolution(self, layer: Any, given: str) -> str:
        name, transposed = layer.name, type(layer) is layers.Conv2DTranspose
        # (y, x, in, out), transposed (y, x, out, in), depthwise (y, x, in, 1): all end as ONNX has them
        kernel, *bias = layer.get_weights()
        alone = type(layer) is layers.DepthwiseConv2D
        axes = (2, 3, 0, 1) if alone else (3, 2, 0, 1)
        inputs = [given, self._constant(f"{name}_kernel", np.transpose(kernel, axes))]
        inputs += [self._constant(f"{name}_bias", values) for values in bias]
        options = {"kernel_shape": layer.kernel_size, "strides": layer.strides, "dilations": layer.dilation_rate}
        options["pads"] = _pads(layer, layer.kernel_size)
        if transposed:  # a kernel below the stride leaves gaps, which Keras fills to the whole size
            gaps = zip(layer.strides, layer.kernel_size, strict=True)
            options["output_padding"] = [max(0, stride - size) for stride, size in gaps]
        else:
            options["group"] = kernel.shape[2] if alone else layer.groups
        activation = layer.activation.__name__
        result = name if activation == "linear" else f"{name}_scores"
        self._node("ConvTranspose" if transposed else "Conv", result, inputs, **options)
        return self._activation(activation, result, name)

    def _activation(self, kind: str, given: str, name: str) -> str:
        """An activation by Keras' name; nothing for the linear one."""
        if kind == "linear":
            return given
        if kind == "silu":
            return self._node("Mul", name, [given, self._node("Sigmoid", f"{name}_gate", [given])])
        if kind == "gelu":  # x/2 (1 + erf(x / sqrt(2)))
            share = self._node("Mul", f"{name}_share", [given, self._constant(f"{name}_root", np.sqrt(0.5))])
            error = self._node("Erf", f"{name}_erf", [share])
            gate = self._node("Add", f"{name}_gate", [error, self._constant(f"{name}_one", 1.0)])
            half = self._node("Mul", f"{name}_half", [given, self._constant(f"{name}_two", 0.5)])
            return self._node("Mul", name, [half, gate])
        operator, options = ACTIVATIONS[kind]
        return self._node(operator, name, [given], **options)

    def _relu(self, name: str, given: str, most: float | None) -> str:
        if most is None:
            return self._node("Relu", name, [given])
        ends = [self._constant(f"{name}_{end}", value) for end, value in (("least", 0.0), ("most", most))]
        return self._node("Clip", name, [given, *ends])

    def _normalisation(self, layer: Any, given: str) -> str:
        """Of each place over its channels, which ONNX wants on the last axis."""
        name = layer.name
        last = self._node("Transpose", f"{name}_channels_last", [given], perm=[0, 2, 3, 1])
        pairs = zip(("gamma", "beta"), layer.get_weights(), strict=True)
        weights = [self._constant(f"{name}_{which}", values) for which, values in pairs]
        found = self._node(
            "LayerNormalization", f"{name}_normalised", [last, *weights], axis=-1, epsilon=float(layer.epsilon)
        )
        return self._node("Transpose", name, [found], perm=[0, 3, 1, 2])

    def _resize(self, name: str, given: str, factors: tuple[int, int], interpolation: str) -> str:
        ways = {
            "nearest": {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
            "bilinear": {"mode": "linear", "coordinate_transformation_mode": "half_pixel"},
        }
        scales = self._constant(f"{name}_factors", np.asarray([1, 1, *factors], np.float32))
        return self._node("Resize", name, [given, "", scales], **ways[interpolation])

    def _constant(self, name: str, values: Any, dtype: type = np.float32) -> str:
        self._constants[name] = numpy_helper.from_array(np.asarray(values, dtype, order="C"), name)
        return name

    def _node(self, kind: str, name: str, inputs: list[str], **options: Any) -> str:
        self._nodes.append(helper.make_node(kind, inputs, [name], name=name, **options))
        return name


def _by_channel(values: Any) -> np.ndarray:
    """One number as it is, one for each channel as (C, 1, 1)."""
    array = np.asarray(values, np.float32)
    return array[:, None, None] if array.ndim else array


def _pads(layer: Any, window: tuple[int, int]) -> list[int]:
    """Top, left, bottom and right as Keras pads: every side is a multiple of the strides, so they are always these."""
    if layer.padding == "valid":
        return [0, 0, 0, 0]
    dilations = getattr(layer, "dilation_rate", (1, 1))
    sides = zip(window, dilations, layer.strides, strict=True)
    reach = [max(0, (size - 1) * dilation + 1 - stride) for size, dilation, stride in sides]
    return [each // 2 for each in reach] + [each - each // 2 for each in reach]
