"""Layers of this library as Keras layers with their weights."""

from collections.abc import Mapping
from typing import Any

from jaxrnn.interop import keras_cells


def built(keras: Any, serialized: Mapping[str, Any], params: Any, dtype: str) -> Any:
    """A Keras layer with its weights, which are of type `dtype`."""
    kind, config = serialized["class_name"], dict(serialized["config"])
    if kind == "Dropout":
        return keras.layers.Dropout(dtype=dtype, **config)
    if kind == "Bidirectional":
        pairs = zip(("layer", "backward_layer"), params, strict=True)
        sides = [built(keras, config.pop(side), p, dtype) for side, p in pairs]
        made = keras.layers.Bidirectional(sides[0], backward_layer=sides[1], dtype=dtype, **config)
        made.build((None, None, params.forward.U.shape[0]))
        made.set_weights([w for side in sides for w in side.get_weights()])
        return made
    # Not Keras' orthogonal matrices, which it cannot draw in bfloat16; the weights are replaced here.
    made = getattr(keras.layers, kind)(dtype=dtype, recurrent_initializer="glorot_uniform", **config)
    made.build((None, None, params.U.shape[0]))
    made.set_weights(keras_cells.weights(kind, params))
    return made
