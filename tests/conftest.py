"""Every test runs strictly: warnings are errors, keys are seeded, two CPU devices, no rank promotion by accident."""

import os
import warnings
from collections.abc import Iterator

import hypothesis
import jax
import numpy as np
import pytest

# Before JAX starts its backend: sharding is tested over two devices.
jax.config.update("jax_num_cpu_devices", 2)
# The tests' time is the compiler's: each program runs once, on a few numbers. Code that is not optimised and XLA's
# older emitter of loops take it a third of the time. The oracle's law also compiles as for a user (`grid.optimised`);
# set XLA_FLAGS, even to nothing, to have all programs compiled so.
ON_CPU = os.environ.get("JAX_PLATFORMS", "cpu") == "cpu"
if ON_CPU:
    os.environ.setdefault(
        "XLA_FLAGS",
        "--xla_backend_optimization_level=0 --xla_backend_extra_options=xla_cpu_disable_new_fusion_emitters=true",
    )

# Examples are drawn once and for all: a run that passed passes again. Each compiles or runs a program, so they are few.
hypothesis.settings.register_profile(
    "jaxrnn",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=25,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture, hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("jaxrnn")


@pytest.fixture(autouse=True)
def _strict() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if ON_CPU:
            with jax.numpy_rank_promotion("raise"):
                yield
        else:
            yield


@pytest.fixture
def x64() -> Iterator[None]:
    """Double precision within one test."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def key() -> jax.Array:
    """The key of every test's random numbers."""
    return jax.random.key(0)


@pytest.fixture
def rng() -> np.random.Generator:
    """The NumPy numbers of every test."""
    return np.random.default_rng(0)
