"""Sequences from a network: drawn symbol by symbol, searched for, and how likely they are."""

from jaxrnn.decoding.beam import Beams, beam_search
from jaxrnn.decoding.ctc import Labelling, ctc_beam_search, ctc_greedy
from jaxrnn.decoding.edits import ErrorRates, edit_distance, error_rates
from jaxrnn.decoding.generation import generate
from jaxrnn.decoding.probability import log_prob
from jaxrnn.decoding.sampling import restrict, sample
from jaxrnn.decoding.streaming import stream

__all__ = [
    "Beams",
    "ErrorRates",
    "Labelling",
    "beam_search",
    "ctc_beam_search",
    "ctc_greedy",
    "edit_distance",
    "error_rates",
    "generate",
    "log_prob",
    "restrict",
    "sample",
    "stream",
]
