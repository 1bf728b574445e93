"""Whether a `.keras` file is one of ours, asked before Keras opens it: Keras' safe mode lets bombs pass.

Ours hold three members, stored as they are, and stock layers with no more weights than the file has.
"""

import io
import json
import zipfile
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from roadseg.contracts.errors import UsageError

if TYPE_CHECKING:
    import h5py

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
LIMITS = {CONFIG: 1 << 20, METADATA: 1 << 12, WEIGHTS: 1 << 30}  # bytes; `large` has 77 kB of config, 87 MB of weights
LAYERS = {"Rescaling", "Conv2D", "Conv2DTranspose", "ReLU", "Add", "Concatenate", "Dropout", "SpatialDropout2D"}
LAYERS |= {"UpSampling2D", "MaxPooling2D", "AveragePooling2D", "GlobalAveragePooling2D", "InputLayer"}
LAYERS |= {"Activation", "DepthwiseConv2D", "LayerNormalization", "Multiply", "ZeroPadding2D"}  # of encoders
CLASSES: set[tuple[object, object]] = {("keras.layers", name) for name in LAYERS}
CLASSES |= {("keras.initializers", name) for name in ("HeNormal", "GlorotUniform", "Zeros", "Ones")}
CLASSES |= {("keras", "DTypePolicy"), (None, "__keras_tensor__"), ("keras.src.models.functional", "Functional")}
ACTIVATIONS = ("linear", "relu", "softmax", "sigmoid", "silu", "hard_sigmoid", "hard_silu", "gelu")
PADDING = 16  # pixels at a side; more would be there to fill the memory


class _Refused(Exception):
    """What is wrong with a file."""


def check_model_file(path: Path) -> None:
    """Refuse a model file that is not of the kind that training writes.

    Args:
        path: a `.keras` file.

    Raises:
        UsageError: names the file and what is wrong with it.
    """
    try:
        members = _members(path)
        values = _needed_values(_config(members[CONFIG]))
        _check_metadata(members[METADATA])
        held = _held_bytes(members[WEIGHTS])
        if 4 * values > held:
            raise _Refused(f"{CONFIG} asks for {4 * values} bytes of weights, and {WEIGHTS} has {held}")
    except _Refused as error:
        raise UsageError(
            f"{path} is refused: {error}; training writes no such file: get the bundle anew, such as by `dvc checkout`"
        ) from None


def _members(path: Path) -> dict[str, bytes]:
    """The members' bytes, when their names and sizes are known to be right."""
    try:
        with zipfile.ZipFile(path) as archive:
            listed = archive.infolist()
            if sorted(member.filename for member in listed) != sorted(LIMITS):
                raise _Refused(f"it holds {_some(member.filename for member in listed)}, not {', '.join(LIMITS)}")
            for member in listed:
                if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
                    raise _Refused(f"{member.filename} is compressed")
                if member.file_size > LIMITS[member.filename]:
                    raise _Refused(f"{member.filename} has {member.file_size} bytes, over {LIMITS[member.filename]}")
            if sum(member.file_size for member in listed) > path.stat().st_size:
                raise _Refused("its members have more bytes than the file")
            return {member.filename: archive.read(member) for member in listed}
    except (OSError, zipfile.BadZipFile, RuntimeError, EOFError) as error:  # an encrypted member is a RuntimeError
        raise _Refused(f"it is no zip file that can be read ({error})") from None


def _json(content: bytes, name: str) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _Refused(f"{name} is no JSON that can be read ({error})") from None
    if not isinstance(found, dict):
        raise _Refused(f"{name} is no object")
    return found


def _check_metadata(content: bytes) -> None:
    if unknown := _json(content, METADATA).keys() - {"keras_version", "date_saved"}:
        raise _Refused(f"{METADATA} has {_some(unknown)}")


def _config(content: bytes) -> dict[str, Any]:
    config = _json(content, CONFIG)
    if config.get("compile_config"):
        raise _Refused(f"{CONFIG} has a compile_config")
    if config.get("class_name") != "Functional":
        raise _Refused(f"{CONFIG} is of class {str(config.get('class_name'))[:80]!r}, not 'Functional'")
    parts: list[Any] = [config]
    while parts:
        part = parts.pop()
        if isinstance(part, dict):
            _check_part(part, part is config)
        parts += part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    return config


def _check_part(part: dict[str, Any], outermost: bool) -> None:
    """Refuse what Keras would look up by a name that we do not use."""
    kind = part.get("module"), part.get("class_name")
    if any(part.get(key) is not None for key in ("module", "class_name", "registered_name")):
        registered = part.get("registered_name")
        inner_model = kind[1] == "Functional" and not outermost
        if not all(isinstance(name, str | None) for name in kind) or kind not in CLASSES or inner_model:
            raise _Refused(f"{CONFIG} names the class {'.'.join(map(str, kind))[:120]}, which no model of ours has")
        if registered is not None and not (outermost and registered == "Functional"):
            raise _Refused(f"{CONFIG} names the registered class {str(registered)[:80]!r}")
    if part.get("activation", "linear") not in ACTIVATIONS:
        raise _Refused(
            f"{CONFIG} has the activation {str(part['activation'])[:80]}, not one of {', '.join(ACTIVATIONS)}"
        )


def _needed_values(config: dict[str, Any]) -> int:
    """How many weights Keras would make room for: along the graph, since a file may lie about its inner shapes."""
    channels: dict[Any, int] = {}
    needed = 0
    try:
        for layer in config["config"]["layers"]:
            kind = layer["class_name"]
            if len(layer["inbound_nodes"]) != (kind != "InputLayer"):
                raise _Refused(f"layer {layer['name']} is not used exactly once")
            given = [channels[name] for name in _inputs(layer["inbound_nodes"])]
            if kind == "InputLayer":
                found = _whole(layer["config"]["batch_shape"][-1])
            elif kind in ("Conv2D", "Conv2DTranspose"):
                found = _whole(layer["config"]["filters"])
                needed += _of_convolution(layer, given[0], found)
            elif kind in ("DepthwiseConv2D", "LayerNormalization"):
                found = given[0]
                needed += _of_each_channel(layer, found)
            else:
                if kind == "ZeroPadding2D" and max(map(max, layer["config"]["padding"])) > PADDING:
                    raise _Refused(f"layer {layer['name']} adds over {PADDING} pixels at a side")
                found = sum(given) if kind == "Concatenate" else max(given)
            channels[layer["name"]] = found
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise _Refused(f"{CONFIG} describes no graph of layers ({type(error).__name__}: {error})") from None
    return needed


def _of_convolution(layer: dict[str, Any], given: int, found: int) -> int:
    about = layer["config"]
    _check_built(layer, given)
    weights = prod(map(_whole, about["kernel_size"])) * given * found
    return weights // _whole(about.get("groups", 1)) + found * bool(about["use_bias"])


def _of_each_channel(layer: dict[str, Any], given: int) -> int:
    """Weights of a layer that gives as many channels as it gets."""
    about = layer["config"]
    _check_built(layer, given)
    if layer["class_name"] == "LayerNormalization":
        if about["axis"] not in (-1, [-1], [3]):  # else it has weights for each place
            raise _Refused(f"layer {layer['name']} normalises over {str(about['axis'])[:40]}, not over channels")
        return given * (bool(about["scale"]) + bool(about["center"]))
    if about["depth_multiplier"] != 1:
        raise _Refused(f"layer {layer['name']} makes several channels of each")
    return given * (prod(map(_whole, about["kernel_size"])) + bool(about["use_bias"]))


def _check_built(layer: dict[str, Any], given: int) -> None:
    built = layer.get("build_config")
    if built and built["input_shape"][-1] != given:  # Keras builds for what stands there
        raise _Refused(f"layer {layer['name']} is built for {str(built['input_shape'])[:80]} and gets {given} channels")


def _whole(value: Any) -> int:
    if type(value) is not int or value < 1:
        raise _Refused(f"{CONFIG} has {str(value)[:40]!r} where a number of 1 or more belongs")
    return value


def _inputs(nodes: list[Any]) -> list[str]:
    """Names of the layers that a layer reads."""
    tensors = [tensor for node in nodes for tensor in node["args"]]
    listed = [one for tensor in tensors for one in (tensor if isinstance(tensor, list) else [tensor])]
    return [one["config"]["keras_history"][0] for one in listed]


def _held_bytes(content: bytes) -> int:
    """Bytes of all arrays in the file of weights, each of which must lie there whole."""
    import h5py  # late: few who open a bundle load its model

    sizes = []

    def unplain(name: str, item: "h5py.Group | h5py.Dataset") -> str | None:
        if not isinstance(item, h5py.Dataset):
            return None
        plain = item.chunks is None and not item.external and not item.is_virtual and item.dtype.kind in "fiu"
        if not plain or item.size is None or item.id.get_storage_size() != item.size * item.dtype.itemsize:
            return f"{name} is not a plain array that lies whole in the file"
        sizes.append(item.size * item.dtype.itemsize)
        return None

    def elsewhere(name: str, link: object) -> str | None:
        return None if isinstance(link, h5py.HardLink) else f"{name} is a link to somewhere else"

    try:
        with h5py.File(io.BytesIO(content), "r") as weights:
            # h5py's visits stop at the first answer; they may not raise
            fault = weights.visititems_links(elsewhere) or weights.visititems(unplain)
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise _Refused(f"{WEIGHTS} cannot be read ({' '.join(str(error).split())})") from None
    if fault:
        raise _Refused(f"{WEIGHTS}: {fault}")
    return sum(sizes)


def _some(names: Any) -> str:
    shown = sorted(map(repr, names))
    return ", ".join(shown[:4]) + (f" and {len(shown) - 4} more" if len(shown) > 4 else "") or "nothing"
