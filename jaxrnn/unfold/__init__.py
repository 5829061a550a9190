"""Running a cell over time."""

from jaxrnn.unfold.adjoints.autodiff import Autodiff
from jaxrnn.unfold.adjoints.bptt import BPTT
from jaxrnn.unfold.adjoints.rtrl import RTRL
from jaxrnn.unfold.adjoints.snap1 import SnAp1
from jaxrnn.unfold.adjoints.truncated import TruncatedBPTT
from jaxrnn.unfold.api import Unfolding, states, unfold
from jaxrnn.unfold.associative import Associative
from jaxrnn.unfold.auto import Auto
from jaxrnn.unfold.method import Certificate
from jaxrnn.unfold.newton import Newton
from jaxrnn.unfold.online import Online, OnlineState
from jaxrnn.unfold.scan import Scan
from jaxrnn.unfold.shooting import Shooting

__all__ = [
    "BPTT",
    "RTRL",
    "Associative",
    "Auto",
    "Autodiff",
    "Certificate",
    "Newton",
    "Online",
    "OnlineState",
    "Scan",
    "Shooting",
    "SnAp1",
    "TruncatedBPTT",
    "Unfolding",
    "states",
    "unfold",
]
