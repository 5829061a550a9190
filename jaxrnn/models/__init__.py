"""Networks for a purpose: frozen dataclasses with `init`, a loss, and what they are for, one a file."""

from jaxrnn.models.autoregressive_tagger import AutoregressiveTagger, AutoregressiveTaggerParams
from jaxrnn.models.classifier import Classifier, ClassifierParams
from jaxrnn.models.encoder_decoder import DecoderParams, Encoded, EncoderDecoder, EncoderDecoderParams, Pairs
from jaxrnn.models.endings import BernoulliStop, Ending, EndSymbol, PredictedLength, PredictedLengthParams
from jaxrnn.models.language import LanguageModel, LanguageModelParams
from jaxrnn.models.output_recurrent import OutputRecurrent
from jaxrnn.models.reader import TokenReader
from jaxrnn.models.sequence import SequenceModel, SequenceModelParams, Sequences
from jaxrnn.models.tagger import Tagger, TaggerParams
from jaxrnn.models.trees import TreeClassifier, TreeClassifierParams

__all__ = [
    "AutoregressiveTagger",
    "AutoregressiveTaggerParams",
    "BernoulliStop",
    "Classifier",
    "ClassifierParams",
    "DecoderParams",
    "Encoded",
    "EncoderDecoder",
    "EncoderDecoderParams",
    "EndSymbol",
    "Ending",
    "LanguageModel",
    "LanguageModelParams",
    "OutputRecurrent",
    "Pairs",
    "PredictedLength",
    "PredictedLengthParams",
    "SequenceModel",
    "SequenceModelParams",
    "Sequences",
    "Tagger",
    "TaggerParams",
    "TokenReader",
    "TreeClassifier",
    "TreeClassifierParams",
]
