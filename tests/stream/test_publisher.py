"""What a monitor receives is what the run knows; nobody listening changes nothing."""

import time

import numpy as np
import pytest
import zmq

from hexlive.stream.config import Config
from hexlive.stream.display import bands
from hexlive.stream.publisher import MAX_SLICE_PX, thinned
from hexlive.stream.session import Outputs, run_session
from hexlive.stream.sockets import AddressError
from hexlive.stream.views import CtView


def test_the_last_snapshot_holds_the_totals_and_the_trend(
    lossy_source, config: Config, calibration, tmp_path, watch
) -> None:
    outputs = Outputs(result=tmp_path / "r.nxs", publish="tcp://127.0.0.1:*")
    outcome = run_session(lossy_source, config, calibration, outputs, on_publish=watch.attach)
    last = watch.over()
    assert last.uneven is not None
    assert (last.uneven.diameter_mm, last.marks) == (14.0, [])
    assert last.status == "stopped"
    assert (last.health.frames_expected, last.health.frames_received) == outcome.report.totals
    assert last.health.frames_missing == outcome.report.totals.lost > 0
    assert last.health.occupancy == pytest.approx(1 / 6, rel=0.1)
    assert sum(last.health.cluster_fractions) == pytest.approx(1)
    assert [(row.state, row.component) for row in last.trend] == [
        (state, name) for state in (1, 2) for name in ("anode", "electrolyte", "cathode")
    ]
    assert last.spectrum.sum() > 0
    assert len(last.cycler) == 6
    assert [part.name for part in last.parts] == [
        "region 1", "region 2", "region 3", "anode", "electrolyte", "cathode"
    ]  # fmt: skip
    assert last.health.disk_free_bytes > 0
    assert last.health.computing.startswith("CPU, ")
    assert (last.health.gpu_used_mb, last.health.gpu_total_mb) == (None, None)
    assert sum(last.health.dropped.values()) > 0
    assert [line.name for line in last.lines] == ["W Ka", "Pb Ka"]
    assert last.undefined.shape == last.peak_residual_kev.shape == last.emf.shape


def test_bands_hold_every_event_of_every_pixel() -> None:
    rng = np.random.default_rng(3)
    spectra = rng.integers(0, 9, (4, 5, 800)).astype(np.uint32)
    view = bands(spectra, np.linspace(0, 160, 801))
    assert view.counts.shape == (4, 5, 160)
    assert view.counts.dtype == np.uint16
    assert view.edges_kev[[0, 1, -1]] == pytest.approx([0, 1, 160])
    np.testing.assert_array_equal(view.counts.sum(axis=-1), spectra.sum(axis=-1))
    np.testing.assert_array_equal(view.counts[..., 93], spectra[..., 465:470].sum(axis=-1))


@pytest.mark.parametrize(("n_bins", "top_kev"), [(1, 10.0), (3, 0.5), (7, 20.0), (5000, 100.0)])
def test_bands_fit_any_energy_axis(n_bins: int, top_kev: float) -> None:
    view = bands(np.full((1, 1, n_bins), 70_000, np.uint32), np.linspace(0, top_kev, n_bins + 1))
    assert 1 <= view.counts.shape[2] <= 256
    assert view.edges_kev.size == view.counts.shape[2] + 1
    assert view.counts.min() >= 70_000


def test_a_run_that_fails_tells_its_monitors_why(
    source, config: Config, calibration, tmp_path, watch
) -> None:
    class Failing(type(source)):
        def __iter__(self):
            for n, message in enumerate(self._messages):
                if n == 12:
                    time.sleep(0.6)  # one report goes out
                    yield message
                    raise OSError("the disk is gone")
                yield message

    outputs = Outputs(result=tmp_path / "r.nxs", publish="tcp://127.0.0.1:*")
    with pytest.raises(OSError, match="gone"):
        run_session(
            Failing(source._messages), config, calibration, outputs, on_publish=watch.attach
        )
    last = watch.over()
    assert last.status == "error"
    assert "the disk is gone" in last.note
    assert not list(tmp_path.iterdir())


def test_a_publishing_port_in_use_leaves_nothing_behind(
    source, config: Config, calibration, tmp_path
) -> None:
    with zmq.Context() as context, context.socket(zmq.PUB) as taken:
        taken.bind("tcp://127.0.0.1:*")
        address = taken.getsockopt_string(zmq.LAST_ENDPOINT)
        outputs = Outputs(
            result=tmp_path / "r.nxs", recording=tmp_path / "recording.h5", publish=address
        )
        with pytest.raises(AddressError, match=address):
            run_session(source, config, calibration, outputs)
    assert not list(tmp_path.iterdir())


def test_slices_larger_than_a_screen_are_thinned_and_keep_their_size() -> None:
    view = CtView(
        scan=1, state=1, status="done", note="", n_images=1, n_expected=1, pixel_um=3.0,
        xy=np.zeros((2560, 2560), np.float32), xz=np.zeros((2160, 2560), np.float32),
    )  # fmt: skip
    small = thinned(view)
    assert max(small.xy.shape) <= MAX_SLICE_PX
    assert small.xy.shape[0] * small.pixel_um == pytest.approx(2560 * 3.0, rel=0.01)
    assert small.yz is None
    assert thinned(small).xy.shape == small.xy.shape
