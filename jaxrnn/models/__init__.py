"""Networks for a purpose: frozen dataclasses with `init`, `apply` and `loss`, one a file."""

from jaxrnn.models.language import LanguageModel, LanguageModelParams

__all__ = ["LanguageModel", "LanguageModelParams"]
