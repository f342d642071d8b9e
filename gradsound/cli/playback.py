"""What plays a run for gradsound play: the sound device, or a receiver elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from gradsound.errors import NoDeviceError, warn
from gradsound.live.device_playback import DevicePlayback
from gradsound.output.sound_device_process import BLOCK_FRAMES, SoundDevice
from gradsound.synth.sample_rate import SAMPLE_RATE
from gradsound.workers.sinks import DeviceSink

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradsound.live.osc_playback import OscPlayback
    from gradsound.music.captions import Caption
    from gradsound.music.presets import Preset
    from gradsound.runs.model import Run

    Playback: TypeAlias = DevicePlayback | OscPlayback

_POLL_SECONDS = 0.05  # between polls of a device that opens
_BUFFER_BLOCKS = (
    4  # of a finished run: a key sounds 0.2 s later, a busy machine pauses less
)


@dataclass(frozen=True, slots=True)
class OscSink:
    """Plays a run by Open Sound Control.

    Attributes:
        host: Name or address of the machine of the receiver.
        port: Its port.
        volume: Linear gain, 0 to 1.
    """

    host: str
    port: int
    volume: float


def make_playback(
    run: Run,
    preset: Preset,
    sink: DeviceSink | OscSink,
    *,
    finished: bool,
    follow: bool,
    on_caption: Callable[[Caption], None],
    first_step: float,
) -> Playback:
    """Returns the playback on a device that is open, or by a receiver.

    Args:
        run: The run to play.
        preset: How steps sound.
        sink: The device or the receiver.
        finished: Whether all steps are in the file.
        follow: Whether steps are merged that come too fast.
        on_caption: Called with each caption when its sound begins.
        first_step: As for `Conductor`.

    Raises:
        ValueError: If there is no such host.
        OSError: If the receiver cannot be reached.
        NoDeviceError: If no sound device is available.
        MissingExtraError: If python-osc is not installed, for a receiver.
    """
    if isinstance(sink, DeviceSink):
        return DevicePlayback(
            run,
            preset,
            _open_device(sink, finished=finished),
            SAMPLE_RATE,
            live=follow,
            volume=sink.volume,
            on_caption=on_caption,
            first_step=first_step,
        )
    from gradsound.live.osc_playback import OscPlayback  # needs python-osc
    from gradsound.output.osc_receiver import OscReceiver

    return OscPlayback(
        run,
        preset,
        OscReceiver(sink.host, sink.port),
        live=follow,
        volume=sink.volume,
        on_caption=on_caption,
        first_step=first_step,
    )


def _open_device(live: DeviceSink, *, finished: bool) -> SoundDevice:
    """Returns the open sound device; it only warns when the device disappears later.

    A finished run has time: its buffer is larger.
    """

    def refuse(reason: str) -> None:
        raise NoDeviceError(f"{reason}; 'gradsound render' writes a file instead")

    def report_loss(reason: str) -> None:
        warn(f"{reason}; playback resumes with the next device, Ctrl-C ends it")

    device = SoundDevice(
        live.device,
        BLOCK_FRAMES[live.latency],
        SAMPLE_RATE,
        refuse,
        buffer_blocks=_BUFFER_BLOCKS if finished else 1,
    )
    try:
        while device.name is None:
            device.wait_for_request(_POLL_SECONDS)
    except BaseException:
        device.close()
        raise
    device.on_loss = report_loss
    return device
