"""What other libraries do not have: states that are perturbed, in evaluation too."""

from jaxrnn.cells import Cell
from jaxrnn.layers import Bidirectional, Layer, Recurrent, Sequential


def refuse(where: str, layer: Layer | Cell) -> None:
    """Raise if a recurrence within a layer is perturbed: its cell alone would give other numbers.

    Args:
        where: what begins the error: `to_torch`.
        layer: a layer, or a cell.

    Raises:
        ValueError: a `Recurrent` with a perturbation.

    Example:
        refuse("to_torch", Sequential([Recurrent(GRU(3, 8), perturbation=Zoneout(0.1))]))  # raises
    """
    if isinstance(layer, Sequential):
        for inner in layer.layers:
            refuse(where, inner)
    elif isinstance(layer, Bidirectional):
        refuse(where, layer.forward)
        refuse(where, layer.backward)
    elif isinstance(layer, Recurrent) and layer.perturbation is not None:
        raise ValueError(
            f"{where}: other libraries have no {layer.perturbation}, and without it evaluation gives other numbers: to "
            "move the weights alone, pass the layer with perturbation=None, whose parameters are the same"
        )
