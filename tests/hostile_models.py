"""Model files that would do harm, each made from a good one."""

import json
import pickle
import shutil
import warnings
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

CONFIG, WEIGHTS = "config.json", "model.weights.h5"
Change = Callable[[dict[str, Any]], Any]


def function(module: str, name: str) -> dict[str, Any]:
    """What Keras looks up as a function."""
    return {"module": module, "class_name": "function", "config": name, "registered_name": "function"}


def pack(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def with_config(change: Change, path: Path) -> None:
    content = members(path)
    config = json.loads(content[CONFIG])
    config = change(config) or config
    pack(path, content | {CONFIG: json.dumps(config).encode()})


def with_layer(path: Path, **changes: Any) -> None:
    """Change the last layer itself."""
    with_config(lambda config: config["config"]["layers"][-1].update(changes), path)


def with_setting(path: Path, **changes: Any) -> None:
    """Change what the last layer is told."""
    with_config(lambda config: config["config"]["layers"][-1]["config"].update(changes), path)


def with_members(path: Path, more: dict[str, bytes], *without: str, compression: int = zipfile.ZIP_STORED) -> None:
    kept = {name: content for name, content in members(path).items() if name not in without}
    pack(path, kept | more, compression)


def with_weights(change: Callable[[h5py.Group, Path], None], path: Path) -> None:
    """Change the file of weights where the last layer has its kernel."""
    content, weights = members(path), path.with_name("weights.h5")
    weights.write_bytes(content[WEIGHTS])
    with h5py.File(weights, "r+") as opened:
        variables = opened["layers/conv2d/vars"]
        del variables["0"]
        change(variables, path.with_name("other.h5"))
    pack(path, content | {WEIGHTS: weights.read_bytes()})


def twice(path: Path) -> None:
    content = members(path)
    with zipfile.ZipFile(path, "w") as archive, warnings.catch_warnings(action="ignore"):
        for name, each in [*content.items(), (WEIGHTS, content[WEIGHTS])]:
            archive.writestr(name, each)


def deep(path: Path) -> None:
    with_members(path, {CONFIG: b'{"config": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"})


def instead(kind: str, path: Path, **settings: Any) -> None:
    """Make the layer before the last, which scales pixels, one of another kind."""

    def change(config: dict[str, Any]) -> None:
        layer = config["config"]["layers"][-2]
        layer["class_name"] = kind
        layer["config"] = {"name": layer["name"], **settings}

    with_config(change, path)


def within(config: dict[str, Any]) -> dict[str, Any]:
    """A model as a layer of itself."""
    inner = json.loads(json.dumps(config)) | {"name": "inner", "inbound_nodes": []}
    config["config"]["layers"].append(inner)
    return config


def virtual(group: h5py.Group, other: Path) -> None:
    layout = h5py.VirtualLayout((1, 1, 3, 7), "f4")
    layout[:] = h5py.VirtualSource(str(other), "data", (1, 1, 3, 7))
    group.create_virtual_dataset("0", layout)


def external(group: h5py.Group, _: Path) -> None:
    group.create_dataset("0", (1, 1, 3, 7), "f4", external=[("/etc/hostname", 0, 84)])


def linked(group: h5py.Group, other: Path, kind: type) -> None:
    group["0"] = kind(str(other), "/data") if kind is h5py.ExternalLink else kind("/layers/conv2d/vars/1")


def objects(group: h5py.Group, _: Path) -> None:
    group.create_dataset("0", data=np.array(["x"], object), dtype=h5py.string_dtype())


STRINGS = {"vocabulary": "/etc/hostname", "num_oov_indices": 1}
SHAPE = {"input_shape": [None, None, None, 2_000_000_000]}
# By name: how it is made, and a part of what is said of it.
HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "lambda": (partial(with_layer, class_name="Lambda"), "keras.layers.Lambda"),
    "torch": (partial(with_layer, class_name="TorchModuleWrapper"), "keras.layers.TorchModuleWrapper"),
    "vocabulary": (partial(with_layer, class_name="StringLookup", config=STRINGS), "keras.layers.StringLookup"),
    "popen": (partial(with_layer, module="subprocess", class_name="Popen"), "subprocess.Popen"),
    "exec": (partial(with_layer, module="builtins", class_name="exec"), "builtins.exec"),
    "module": (partial(with_layer, module="antigravity", class_name="Conv2D"), "antigravity.Conv2D"),
    "registered": (partial(with_layer, registered_name="theirs>Conv2D"), "theirs>Conv2D"),
    "unhashable": (partial(with_layer, module=["os"]), "names the class"),
    "system": (partial(with_setting, activation=function("os", "system")), "os.function|the activation"),
    "eval": (partial(with_setting, activation=function("builtins", "eval")), "builtins.function|the activation"),
    "download": (partial(with_setting, activation=function("keras.utils", "get_file")), "the activation|function"),
    "load": (partial(with_setting, activation=function("keras.models", "load_model")), "the activation|function"),
    "word": (partial(with_setting, activation="os.system"), "the activation os.system"),
    "constraint": (partial(with_setting, kernel_constraint=function("os", "system")), "os.function"),
    "inner": (partial(with_config, within), "keras.src.models.functional.Functional"),
    "compiled": (
        partial(with_config, lambda config: config.update(compile_config={"loss": function("os", "system")})),
        "compile_config",
    ),
    "filters": (partial(with_setting, filters=2_000_000_000), "asks for 32000000000 bytes of weights"),
    "no number": (partial(with_setting, filters=-7), "'-7' where a number of 1 or more belongs"),
    "places": (
        partial(instead, "LayerNormalization", axis=[1, 2, 3], scale=True, center=True),
        r"normalises over \[1, 2, 3\]",
    ),
    "channels": (
        partial(instead, "DepthwiseConv2D", kernel_size=[1, 1], depth_multiplier=10**9, use_bias=False),
        "makes several channels of each",
    ),
    "kernel": (
        partial(instead, "DepthwiseConv2D", kernel_size=[40_000, 40_000], depth_multiplier=1, use_bias=False),
        "asks for 192000",
    ),
    "padding": (partial(instead, "ZeroPadding2D", padding=[[0, 0], [0, 10**9]]), "adds over 16 pixels at a side"),
    "built": (partial(with_layer, build_config=SHAPE), "gets 3 channels"),
    "deep": (deep, "config.json is no JSON that can be read"),
    "no model": (partial(with_config, lambda _: {"class_name": "Sequential"}), "not 'Functional'"),
    "no graph": (partial(with_config, lambda config: config.update(config={"layers": [3]})), "no graph of layers"),
    "config bomb": (
        lambda path: with_members(path, {CONFIG: b" " * (300 << 20)}, compression=zipfile.ZIP_DEFLATED),
        "is compressed",
    ),
    "stored config": (lambda path: with_members(path, {CONFIG: b" " * (2 << 20)}), "config.json has 2097152 bytes"),
    "weights bomb": (
        lambda path: with_members(path, {WEIGHTS: bytes(300 << 20)}, compression=zipfile.ZIP_DEFLATED),
        "is compressed",
    ),
    "above": (lambda path: with_members(path, {"../x": b"x"}), "'../x'"),
    "absolute": (lambda path: with_members(path, {"/tmp/x": b"x"}), "'/tmp/x'"),
    "assets": (lambda path: with_members(path, {"assets/x": b"x"}), "'assets/x'"),
    "twice": (twice, "it holds"),
    "archive": (
        lambda path: with_members(path, {"model.weights.npz": pickle.dumps({"a": print})}, WEIGHTS),
        "'model.weights.npz'",
    ),
    "pickle": (lambda path: path.write_bytes(pickle.dumps({"a": print})), "no zip file"),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:-30]), "no zip file"),
    "external link": (partial(with_weights, partial(linked, kind=h5py.ExternalLink)), "0 is a link to somewhere else"),
    "soft link": (partial(with_weights, partial(linked, kind=h5py.SoftLink)), "0 is a link to somewhere else"),
    "external storage": (partial(with_weights, external), "0 is not a plain array"),
    "virtual": (partial(with_weights, virtual), "0 is not a plain array"),
    "declared": (
        partial(with_weights, lambda group, _: group.create_dataset("0", (1 << 20, 1 << 10), "f4")),
        "0 is not a plain array",
    ),
    "shrunk": (
        partial(
            with_weights,
            lambda group, _: group.create_dataset("0", data=np.zeros((1 << 10, 1 << 12)), compression="gzip"),
        ),
        "0 is not a plain array",
    ),
    "objects": (partial(with_weights, objects), "0 is not a plain array"),
    "no weights": (lambda path: with_members(path, {WEIGHTS: b"x" * 99}), "model.weights.h5 cannot be read"),
}


def hostile(name: str, good: Path, folder: Path) -> Path:
    """Make one of `HOSTILE` from a good model file."""
    path = Path(shutil.copy(good, folder / "model.keras"))
    HOSTILE[name][0](path)
    return path
