"""What a run folder's configuration stands for: the model, its alphabet, its parameters."""

from pathlib import Path
from typing import Any

import jax

from jaxrnn import GRU, LSTM, Elman, Stack
from jaxrnn.data import Alphabet
from jaxrnn.models.language import LanguageModel, LanguageModelParams
from jaxrnn.training import load_configuration, load_parameters
from jaxrnn.training.checkpoints import CONFIGURATION, PARAMETERS

CELLS = {"elman": Elman, "lstm": LSTM, "gru": GRU}
LARGEST = {"layers": 100, "hidden": 100_000, "embedding": 100_000}  # beyond any machine; a slip, or a broken file


def build_model(choices: dict[str, Any], alphabet: Alphabet) -> LanguageModel:
    """The language model of a configuration's "model".

    Raises:
        ValueError: a cell that is not there, sizes below 1 or beyond any machine, dropout that does not fit.
        TypeError: choices of other types.
        KeyError: a choice that is missing.
    """
    if not isinstance(choices, dict):
        raise TypeError(f"the model must be an object, got {choices!r}")
    for name, most in LARGEST.items():
        value = choices[name]
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
            raise ValueError(f"{name} must be a whole number from 1 to {most}, got {value!r}")
    kind, embedding, hidden = choices["cell"], choices["embedding"], choices["hidden"]
    if kind not in list(CELLS):
        raise ValueError(f"cell must be one of {', '.join(CELLS)}, got {kind!r}")
    cells = [CELLS[kind](hidden if k else embedding, hidden) for k in range(choices["layers"])]
    cell = cells[0] if len(cells) == 1 else Stack(cells)
    return LanguageModel(len(alphabet), embedding, cell, choices["dropout"])


def load_run(folder: str | Path) -> tuple[LanguageModel, Alphabet, LanguageModelParams]:
    """The model, the alphabet and the best parameters of a run folder.

    Raises:
        FileNotFoundError: no such folder, or one that is not whole.
        ValueError: files that are not what they should be, or do not belong together.

    Example:
        model, alphabet, params = load_run("runs/shakespeare")
    """
    configuration = load_configuration(folder)
    try:
        alphabet = Alphabet(**configuration["alphabet"])
        model = build_model(configuration["model"], alphabet)
    except (KeyError, TypeError, ValueError) as error:
        what = f"there is no {error}" if isinstance(error, KeyError) else error
        raise ValueError(f"{Path(folder) / CONFIGURATION}: not the configuration of a model: {what}") from None
    like = jax.eval_shape(model.init, jax.random.key(0))
    return model, alphabet, load_parameters(Path(folder) / PARAMETERS, like)
