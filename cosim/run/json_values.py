"""Values of the model as JSON, exact for doubles: on the wire, in records and in files of plans."""

from __future__ import annotations

from typing import Any

import cattrs
import cattrs.preconf.json
import numpy as np
from cattrs.gen import make_dict_unstructure_fn

from cosim.devices.registry import device_kind, network_kind
from cosim.model.device import Device
from cosim.model.network_device import NetworkDevice


def json_converter() -> cattrs.preconf.json.JsonConverter:
    """Values of :mod:`cosim.model` to JSON and back, arrays as plain lists; exact for doubles."""
    converter = cattrs.preconf.json.make_converter()
    converter.register_unstructure_hook_func(_is_array, lambda array: array.tolist())
    converter.register_structure_hook_func(_is_array, _to_array)
    register_devices(converter)
    return converter


def register_devices(converter: cattrs.Converter) -> None:
    """Let a converter write devices with their kind, and read them back as their kind's rating."""

    def write(device: Device | NetworkDevice) -> dict[str, Any]:
        own = make_dict_unstructure_fn(type(device), converter)
        return {"kind": device.kind, **own(device)}

    def read(values: dict[str, Any], _type: Any) -> Device:
        rating = device_kind(values["kind"]).rating
        rest = {name: value for name, value in values.items() if name != "kind"}
        return converter.structure(rest, rating)

    def read_network(values: dict[str, Any], _type: Any) -> NetworkDevice:
        rating = network_kind(values["kind"]).rating
        return converter.structure({name: values[name] for name in values if name != "kind"}, rating)

    converter.register_unstructure_hook_func(lambda kind: kind in {Device, NetworkDevice}, write)
    converter.register_structure_hook_func(lambda kind: kind is Device, read)
    converter.register_structure_hook_func(lambda kind: kind is NetworkDevice, read_network)


def _is_array(kind: Any) -> bool:
    return getattr(kind, "__origin__", kind) is np.ndarray


def _to_array(values: Any, kind: Any) -> np.ndarray:
    scalar = kind.__args__[1].__args__[0]
    return np.asarray(values, dtype=scalar)
