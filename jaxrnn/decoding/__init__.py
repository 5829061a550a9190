"""Drawing symbols from a network, one after another, and how likely they are."""

from jaxrnn.decoding.ctc import Labelling, ctc_beam_search, ctc_greedy
from jaxrnn.decoding.generation import generate
from jaxrnn.decoding.probability import log_prob
from jaxrnn.decoding.sampling import restrict, sample
from jaxrnn.decoding.streaming import stream

__all__ = ["Labelling", "ctc_beam_search", "ctc_greedy", "generate", "log_prob", "restrict", "sample", "stream"]
