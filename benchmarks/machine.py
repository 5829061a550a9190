"""What a result was measured on, and with."""

import contextlib
import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# What PyTorch calls the precisions of `jaxrnn.unfold`.
PRECISIONS = {"float32": "highest", "tensorfloat32": "high", "bfloat16": "medium"}
ROOT = Path(__file__).resolve().parent.parent
CODE = "jaxrnn", "benchmarks", ":!benchmarks/results"  # a result that is being measured is no change


def choose_device(name: str | None) -> str:
    """Tell JAX to use "cpu" or "gpu" (None: what it finds), before it is imported; returns which of the two it uses."""
    if name is not None:
        os.environ["JAX_PLATFORMS"] = {"cpu": "cpu", "gpu": "cuda"}[name]
    import jax

    return "cpu" if jax.default_backend() == "cpu" else "gpu"


@contextlib.contextmanager
def products_in(precision: str | None) -> Iterator[None]:
    """Every entrant's matrix products computed so, where the device can; None leaves all as they come."""
    from jaxrnn.unfold.precision import products

    if precision is None:
        yield
        return
    with products(precision), contextlib.ExitStack() as after:
        with contextlib.suppress(ImportError):
            import torch

            after.callback(torch.set_float32_matmul_precision, torch.get_float32_matmul_precision())
            torch.set_float32_matmul_precision(PRECISIONS[precision])
        yield


def describe(packages: list[str]) -> dict[str, Any]:
    """Machine, versions and commit, for the head of a result."""
    import jax

    return {
        "machine": {
            "processor": _processor(),
            "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "memory_GiB": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
            "system": platform.platform(),
            "device": jax.devices()[0].device_kind,
            "devices": jax.device_count(),
        },
        "versions": {"python": platform.python_version(), **versions(["jax", "jaxlib", "numpy", *packages])},
        "commit": _git("rev-parse", "HEAD") or "unknown",
        "uncommitted_changes": bool(_git("status", "--porcelain", "--", *CODE)),
        "command": " ".join([*_program(), *sys.argv[1:]]),
        "load_average_before": os.getloadavg()[0],
    }


def versions(packages: list[str]) -> dict[str, str]:
    """Versions of the packages that are installed."""
    found = {}
    for name in packages:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _program() -> list[str]:
    name = Path(sys.argv[0]).stem
    return ["jaxrnn"] if name == "jaxrnn" else ["python", "-m", f"benchmarks.{name}"]


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    names = [line for line in info.read_text().splitlines() if line.startswith("model name")] if info.exists() else []
    return names[0].split(":", 1)[1].strip() if names else platform.processor() or platform.machine()


def _git(*arguments: str) -> str:
    try:
        run = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return run.stdout.strip() if run.returncode == 0 else ""


def matrix_products(device: str, size: int | None = None) -> tuple[float, dict[str, Callable[[], Any]]]:
    """Operations of one float32 product of square matrices, and that product in JAX and, where installed, PyTorch.

    The faster of the two is taken for the machine's rate.
    """
    import jax
    import numpy as np

    size = size or (1024 if device == "cpu" else 8192)
    a, b = np.random.default_rng(0).standard_normal((2, size, size)).astype(np.float32)
    x, y = jax.numpy.asarray(a), jax.numpy.asarray(b)
    product = jax.jit(lambda x, y: x @ y)
    runs: dict[str, Callable[[], Any]] = {"jax": lambda: jax.block_until_ready(product(x, y))}
    try:
        import torch
    except ImportError:
        pass
    else:
        place = torch.device("cuda" if device == "gpu" and torch.cuda.is_available() else "cpu")
        if device == "cpu" or place.type == "cuda":
            p, q = torch.tensor(a, device=place), torch.tensor(b, device=place)

            def in_torch() -> Any:
                result = p @ q
                if place.type == "cuda":
                    torch.cuda.synchronize()
                return result

            runs["torch"] = in_torch
    for run in runs.values():
        run()
    return 2.0 * size**3, runs
