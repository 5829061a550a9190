"""Training: the step, the loop around it, and what it leaves on disk."""

from jaxrnn.training.batches import FitBatches, fit_batches
from jaxrnn.training.checkpoints import create_run, load_configuration, load_parameters, save_parameters
from jaxrnn.training.data_parallel import map_batch, value_and_grad
from jaxrnn.training.devices import use_all_cores
from jaxrnn.training.evaluation import compile_evaluation
from jaxrnn.training.fit import Fit, fit
from jaxrnn.training.optimizer import make_optimizer
from jaxrnn.training.schedules import ExponentialDecay, InverseSigmoidDecay, LinearDecay
from jaxrnn.training.state import TrainState, init_train_state, make_train_step

__all__ = [
    "ExponentialDecay",
    "Fit",
    "FitBatches",
    "InverseSigmoidDecay",
    "LinearDecay",
    "TrainState",
    "compile_evaluation",
    "create_run",
    "fit",
    "fit_batches",
    "init_train_state",
    "load_configuration",
    "load_parameters",
    "make_optimizer",
    "make_train_step",
    "map_batch",
    "save_parameters",
    "use_all_cores",
    "value_and_grad",
]
