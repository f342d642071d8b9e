"""Lines of run files."""

from gradsound.runs.step import Step
from gradsound.runs.step_block import make_block
from gradsound.runs.step_line import encode_block


def encode_step(step: Step) -> bytes:
    """Returns the line of one step, with its newline."""
    return encode_block(make_block([step]))
