"""One file a rival: how its documentation runs a recurrent net, with the weights it is given in its own layout."""

import importlib
from types import ModuleType

# Name in results -> module here. Each module has `build(task, device) -> Entrant` and the package's name, PACKAGE.
RIVALS = {
    "jaxrnn": "own",
    "jaxrnn-cores": "own_cores",
    "plain-scan": "plain_scan",
    "flax-linen": "flax_linen",
    "flax-nnx": "flax_nnx",
    "haiku": "haiku",
    "equinox": "equinox",
    "keras": "keras",
    "torch": "torch",
}


def load(name: str) -> ModuleType:
    """The module of a rival; ImportError where it is not installed."""
    return importlib.import_module(f"benchmarks.rivals.{RIVALS[name]}")
