"""Sample rates: the default one, the range of a sound, and the highest pitch."""

SAMPLE_RATE = 44_100  # Hz, the default
MAX_PITCH = 0.45  # of the sample rate; higher pitches are held there
SAMPLE_RATES = (16_000, 192_000)  # Hz; below the lower, the highest notes do not fit


def check_sample_rate(sample_rate: int) -> None:
    """Refuses a sample rate, in Hz, outside the range.

    Raises:
        ValueError: If it is outside 16,000 to 192,000 Hz.
    """
    low, high = SAMPLE_RATES
    if not low <= sample_rate <= high:
        raise ValueError(f"sample rate must be {low} to {high} Hz, got {sample_rate}")
