"""How far gradients reach: derivatives of states by earlier states, and of a loss by states, over time."""

from jaxrnn.diagnostics.information_flow import information_flow
from jaxrnn.diagnostics.jacobians import jacobians, products
from jaxrnn.diagnostics.sensitivity import sensitivity, singular_values, spectral_radius
from jaxrnn.diagnostics.state_gradients import gradient_norms, state_gradients

__all__ = [
    "gradient_norms",
    "information_flow",
    "jacobians",
    "products",
    "sensitivity",
    "singular_values",
    "spectral_radius",
    "state_gradients",
]
