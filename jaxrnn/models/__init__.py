"""Networks for a purpose: frozen dataclasses with `init`, `apply` and `loss`, one a file."""

from jaxrnn.models.classifier import Classifier, ClassifierParams
from jaxrnn.models.language import LanguageModel, LanguageModelParams
from jaxrnn.models.tagger import Tagger, TaggerParams

__all__ = ["Classifier", "ClassifierParams", "LanguageModel", "LanguageModelParams", "Tagger", "TaggerParams"]
