"""Every panel draws whatever arrives: full, empty, undefined, tiny and huge."""

from collections.abc import Callable

import numpy as np
import pyqtgraph as pg
import pytest
from msgspec.structs import replace
from PySide6.QtCore import QRectF
from PySide6.QtWidgets import QLabel
from pytestqt.qtbot import QtBot

from hexlive.monitor.compare import ComparePanel
from hexlive.monitor.context import Context
from hexlive.monitor.cycling import CyclingPanel, cycling_with_charge, time_unit
from hexlive.monitor.health import DriftPanel, RatesPanel
from hexlive.monitor.maps import CountsMap, EmfMap, HitsMap, PeakMap, SigmaMap, median_sigma
from hexlive.monitor.numbers import decimals, mean_emf, with_sigma
from hexlive.monitor.panels import PAGES, Make, Panel
from hexlive.monitor.profile import ProfilePanel
from hexlive.monitor.slices import CtPanel, LinkedSlices
from hexlive.monitor.spectra import SpectrumPanel
from hexlive.monitor.stages import COLOURS, StagesPanel, cut_out
from hexlive.monitor.table import Grid, state_rows
from hexlive.monitor.theme import DARK
from hexlive.monitor.trends import TrendPanel, to_target
from hexlive.monitor.uneven import UnevenTable
from hexlive.stream.model import Snapshot
from hexlive.stream.views import BandsView, LineView, MapView, MarkView, PartView, TrendRow

SIZE = (600, 400)
HUGE = 1500


def with_maps(snapshot: Snapshot, values: np.ndarray) -> Snapshot:
    values = values.astype(np.float32)
    pair = MapView(value=values, sigma=np.abs(values) * np.float32(0.1))
    edges = np.arange(3.0)
    return replace(
        snapshot,
        emf=pair.value,
        emf_sigma=pair.sigma,
        compton_counts=values * 100,
        hits=np.zeros(values.shape, np.uint64),
        theta_deg=np.full(values.shape, 90.0),
        relative=replace(snapshot.relative, map=pair),
        superpixels=pair,
        adaptive=pair,
        recent=pair,
        peak_residual_kev=values,
        undefined=np.ones(values.shape, np.uint8),
        bands=BandsView(edges_kev=edges, counts=np.ones((*values.shape, 2), np.uint16)),
    )


def parts_of(snapshot: Snapshot, value: float) -> list[PartView]:
    n_bins, n_points = snapshot.spectrum.size, snapshot.pz_au.size
    return [
        replace(
            part,
            spectrum=np.full((2, n_bins), value, np.float32),
            profile=np.full((2, n_points), value, np.float32),
            emf=None,
        )
        for part in snapshot.parts
    ]


def undefined(snapshot: Snapshot) -> Snapshot:
    n_points, nowhere = snapshot.pz_au.size, np.full((9, 9), np.nan, np.float32)
    return replace(
        with_maps(snapshot, np.full((80, 80), np.nan)),
        spectrum=np.zeros_like(snapshot.spectrum),
        profile_j=np.full(n_points, np.nan),
        profile_sigma=np.full(n_points, np.nan),
        trend=[TrendRow(state=1, soc=None, component="anode", emf=None, emf_sigma=None)],
        ct=replace(
            snapshot.ct, xy=nowhere, surface_um=nowhere, stages_xy=np.zeros((9, 9), np.uint8)
        ),
        uneven=replace(
            snapshot.uneven, std=None, std_sigma=None, centre_edge=None, left_right_sigma=None
        ),
        parts=parts_of(snapshot, np.nan),
        gain_percent=[(1.7e9, None, None)],
        lines=[LineView(name="W Ka", points=[(1.7e9, None, None)])],
        emf_mean=None,
        emf_mean_sigma=None,
    )


def empty(snapshot: Snapshot) -> Snapshot:
    nothing = np.empty(0)
    return replace(
        with_maps(snapshot, np.empty((0, 0))),
        energy_edges_kev=np.zeros(1),
        spectrum=np.empty(0, np.uint64),
        pz_au=nothing,
        profile_j=nothing,
        profile_sigma=nothing,
        trend=[],
        cycler=[],
        ct=replace(
            snapshot.ct,
            xy=np.empty((0, 5), np.float32),
            xz=None,
            yz=None,
            stage_names=[],
            stages_xy=np.empty((0, 3), np.uint8),
            stages_xz=None,
        ),
        uneven=None,
        marks=[],
        segment=None,
        relative=None,
        superpixels=None,
        recent=None,
        peak_residual_kev=None,
        undefined=None,
        bands=None,
        parts=[],
        lines=[],
        target=None,
        gain_percent=[],
    )


def tiny(snapshot: Snapshot) -> Snapshot:
    one = np.ones(1)
    small = replace(
        with_maps(snapshot, np.ones((1, 1))),
        energy_edges_kev=np.array([93.0, 94.0]),
        spectrum=np.ones(1, np.uint64),
        pz_au=0 * one,
        profile_j=one,
        profile_sigma=one,
        trend=snapshot.trend[:1],
        cycler=snapshot.cycler[:1],
        ct=replace(
            snapshot.ct,
            xy=np.ones((1, 1), np.float32),
            xz=np.ones((1, 9), np.float32),
            stages_xy=np.ones((1, 1), np.uint8),
            stages_xz=np.ones((1, 9), np.uint8),
        ),
        gain_percent=snapshot.gain_percent[:1],
    )
    return replace(small, parts=parts_of(small, 1.0))


def huge(snapshot: Snapshot) -> Snapshot:
    ramp = np.add.outer(np.arange(HUGE), np.arange(HUGE)) / HUGE
    rows = [
        TrendRow(state=n, soc=0.5, component=f"part {n % 30}", emf=1.0 + n, emf_sigma=0.1)
        for n in range(1, 300)
    ]
    large = replace(
        with_maps(snapshot, ramp),
        energy_edges_kev=np.linspace(0, 160, 20_001),
        spectrum=np.full(20_000, 2**62, np.uint64),
        trend=rows,
        cycler=snapshot.cycler * 50,
        ct=replace(
            snapshot.ct,
            xy=ramp.astype(np.float32),
            surface_um=ramp.astype(np.float32),
            stages_xy=ramp.astype(np.uint8),
            stage_names=["long " * 40] * 200,
        ),
        marks=[MarkView(label="{long} " * 11, time_s=1.7e9 + n) for n in range(300)],
        doubts=["long " * 200] * 100,
        gain_percent=snapshot.gain_percent * 200,
    )
    return replace(large, parts=parts_of(large, 1e30))


def infinite(snapshot: Snapshot) -> Snapshot:
    values = np.where(np.eye(80) > 0, np.inf, 1.0)
    j = np.where(np.arange(snapshot.pz_au.size) % 2, np.inf, 1.0)
    return replace(
        with_maps(snapshot, values),
        emf=-values,
        profile_j=j,
        profile_sigma=j,
        ct=replace(snapshot.ct, xy=values.astype(np.float32)),
    )


PANELS = dict.fromkeys(make for page in PAGES.values() for make in page)


@pytest.mark.parametrize("make", PANELS)
@pytest.mark.parametrize("change", [lambda s: s, undefined, empty, tiny, huge, infinite])
def test_a_panel_draws_anything(
    qtbot: QtBot, snapshot: Snapshot, make: Make, change: Callable[[Snapshot], Snapshot]
) -> None:
    context = Context(DARK)
    panel = make(context)
    qtbot.addWidget(panel.widget)
    panel.widget.resize(*SIZE)
    changed = change(snapshot)
    for each in (changed, snapshot, changed):
        context.history.take(each)
        panel.show(each)
        assert not panel.widget.grab().isNull()


def shown(qtbot: QtBot, panel: Panel, snapshot: Snapshot) -> Panel:
    qtbot.addWidget(panel.widget)
    panel.widget.resize(*SIZE)
    panel.show(snapshot)
    panel.widget.grab()
    return panel


def items(panel: Panel, kind: type) -> list:
    return [item for item in panel.widget.graphics.scene().items() if isinstance(item, kind)]


def words(panel: Panel) -> str:
    return " ".join(label.text() for label in panel.widget.findChildren(QLabel))


def test_the_emf_map_shows_the_mean_with_its_uncertainty(qtbot: QtBot, snapshot: Snapshot) -> None:
    assert "1.2187 ± 0.0041  (0.34 %)" in words(shown(qtbot, EmfMap(Context(DARK)), snapshot))


@pytest.mark.parametrize("make", [EmfMap, SigmaMap, CountsMap])
def test_a_map_has_row_zero_at_the_top_and_square_pixels(
    qtbot: QtBot, snapshot: Snapshot, make: type
) -> None:
    panel = shown(qtbot, make(Context(DARK)), snapshot)
    (image,) = items(panel, pg.ImageItem)
    top, bottom = (image.mapRectToDevice(QRectF(0, row, 1, 1)) for row in (0, 79))
    assert top.width() == pytest.approx(top.height())
    assert top.y() < bottom.y()


def test_a_bar_of_many_counts_keeps_its_numbers(qtbot: QtBot, snapshot: Snapshot) -> None:
    panel = CountsMap(Context(DARK))
    qtbot.addWidget(panel.widget)
    panel.show(snapshot)
    axis = panel._view._bar.getAxis("right")
    assert axis.tickStrings([0.0, 200.0], 1.0, 200.0) == ["0", "200"]
    assert axis.tickStrings([0.0, 250_000.0], 1.0, 250_000.0) == ["0k", "250k"]


def test_undefined_pixels_are_transparent(qtbot: QtBot, snapshot: Snapshot) -> None:
    (image,) = items(shown(qtbot, EmfMap(Context(DARK)), undefined(snapshot)), pg.ImageItem)
    image.render()
    assert image.qimage.hasAlphaChannel()
    assert image.qimage.pixelColor(5, 5).alpha() == 0


def test_the_spectrum_marks_the_compton_peak_where_physics_puts_it(
    qtbot: QtBot, snapshot: Snapshot
) -> None:
    lines = items(shown(qtbot, SpectrumPanel(Context(DARK)), snapshot), pg.InfiniteLine)
    places = [line.value() for line in lines]
    for expected_kev in (93.87377, 115.0, 59.32, 57.98, 74.97, 72.81):
        assert any(abs(place - expected_kev) < 1e-4 for place in places)


def test_the_spectrum_marks_move_with_the_beam(qtbot: QtBot, snapshot: Snapshot) -> None:
    panel = shown(qtbot, SpectrumPanel(Context(DARK)), snapshot)
    n_lines = len(items(panel, pg.InfiniteLine))
    panel.show(replace(snapshot, incident_kev=100.0))
    lines = items(panel, pg.InfiniteLine)
    assert len(lines) == n_lines
    assert 100.0 in [line.value() for line in lines]
    assert 115.0 not in [line.value() for line in lines]


def test_the_profile_shades_valence_and_core(qtbot: QtBot, snapshot: Snapshot) -> None:
    panel = shown(qtbot, ProfilePanel(Context(DARK)), snapshot)
    windows = sorted(region.getRegion() for region in items(panel, pg.LinearRegionItem))
    assert windows == [(-5.0, -1.0), (-1.0, 1.0), (1.0, 5.0)]


def test_the_profile_has_unit_area(qtbot: QtBot, snapshot: Snapshot) -> None:
    strong = replace(snapshot, profile_j=snapshot.profile_j * 1e6)
    panel = shown(qtbot, ProfilePanel(Context(DARK)), strong)
    (curve,) = (
        item
        for item in items(panel, pg.PlotCurveItem)
        if item.yData is not None and item.opts["pen"].width() == 2
    )
    assert np.sum(curve.yData) * np.diff(curve.xData)[0] == pytest.approx(1, rel=0.02)


def test_the_trend_has_error_bars_and_a_name_for_each_component(
    qtbot: QtBot, snapshot: Snapshot
) -> None:
    panel = shown(qtbot, TrendPanel(Context(DARK)), snapshot)
    bars = [bar for bar in items(panel, pg.ErrorBarItem) if len(bar.opts["x"])]
    assert len(bars) == 3
    (legend,) = items(panel, pg.LegendItem)
    assert [label.text for _, label in legend.items] == ["anode", "electrolyte", "cathode"]


def test_a_name_from_the_network_is_never_markup(qtbot: QtBot, snapshot: Snapshot) -> None:
    row = replace(snapshot.trend[0], component='<img src="/etc/passwd">')
    panel = shown(qtbot, TrendPanel(Context(DARK)), replace(snapshot, trend=[row]))
    (legend,) = items(panel, pg.LegendItem)
    assert legend.items[0][1].text == "&lt;img src=&quot;/etc/passwd&quot;&gt;"
    ct = replace(snapshot.ct, engine="<b>engine</b>")
    assert "<b>engine</b>" in words(shown(qtbot, CtPanel(Context(DARK)), replace(snapshot, ct=ct)))


def test_states_stand_on_the_voltage_where_they_were_measured(
    qtbot: QtBot, snapshot: Snapshot
) -> None:
    panel = shown(qtbot, CyclingPanel(Context(DARK)), snapshot)
    labels = {text.toPlainText() for text in items(panel, pg.TextItem)}
    assert labels >= {"1", "2", "3", "4", "5"}
    assert "3.834 V" in words(panel)


def test_slices_stay_while_the_next_scan_is_collected(qtbot: QtBot, snapshot: Snapshot) -> None:
    panel = shown(qtbot, CtPanel(Context(DARK)), snapshot)
    nothing = {"xy": None, "xz": None, "yz": None}
    panel.show(replace(snapshot, ct=replace(snapshot.ct, scan=5, status="collecting", **nothing)))
    assert "scan 5: collecting" in words(panel)
    assert all(image.image is not None for image in items(panel, pg.ImageItem))
    titles = [label.text for label in items(panel, pg.LabelItem)]
    assert "x-y slice of scan 4" in titles


@pytest.mark.parametrize(
    ("span_s", "unit"), [(0.0, "s"), (119.0, "s"), (120.0, "min"), (7200.0, "h"), (1e6, "h")]
)
def test_the_time_axis_has_a_fitting_unit(span_s: float, unit: str) -> None:
    assert time_unit(span_s)[0] == unit


@pytest.mark.parametrize(
    ("mean", "sigma", "text"),
    [
        (None, None, "–"),
        (1.25, None, "1.25"),
        (1.25, 0.0, "1.2500 ± 0.0000  (0 %)"),
        (1.25, 0.5, "1.25 ± 0.50  (40 %)"),
        (0.0, 0.02, "0.000 ± 0.020"),
    ],
)
def test_uncertainties_have_two_digits(
    snapshot: Snapshot, mean: float | None, sigma: float | None, text: str
) -> None:
    assert mean_emf(replace(snapshot, emf_mean=mean, emf_mean_sigma=sigma)) == text
    assert decimals(0.0041) == 4


@pytest.mark.parametrize("make", [CyclingPanel, cycling_with_charge, RatesPanel, DriftPanel])
def test_plots_above_each_other_have_the_same_time_from_the_first_on(
    qtbot: QtBot, snapshot: Snapshot, make: Make
) -> None:
    """Before they have a place on the screen, where linked axes go astray."""
    context = Context(DARK)
    panel = make(context)
    qtbot.addWidget(panel.widget)
    context.history.take(replace(snapshot, created_s=snapshot.created_s - 90.0))
    context.history.take(snapshot)
    panel.show(snapshot)
    panel.widget.resize(*SIZE)
    panel.widget.grab()
    assert len({tuple(plot.viewRange()[0]) for plot in items(panel, pg.PlotItem)}) == 1


def test_a_mark_stands_where_it_was_set(qtbot: QtBot, snapshot: Snapshot) -> None:
    panel = shown(qtbot, CyclingPanel(Context(DARK)), snapshot)
    (line,) = panel._marks._lines
    assert line.value() == pytest.approx(6.5)
    assert line.label.toPlainText() == "charge ends"


def test_words_of_a_mark_are_never_a_format(qtbot: QtBot, snapshot: Snapshot) -> None:
    marks = [MarkView(label="{0.__class__}", time_s=snapshot.cycler[3][0])]
    panel = shown(qtbot, CyclingPanel(Context(DARK)), replace(snapshot, marks=marks))
    (line,) = panel._marks._lines
    assert line.label.toPlainText() == "{0.__class__}"


def test_the_trend_says_how_long_each_component_still_takes(snapshot: Snapshot) -> None:
    assert to_target(snapshot) == (
        "until σ(EMF)/EMF is 2 %:  anode 3 min · electrolyte 4 min · cathode 5 min"
    )
    assert to_target(replace(snapshot, parts=[])) == ""


def test_a_stage_has_the_colour_of_the_paper(qtbot: QtBot, snapshot: Snapshot) -> None:
    panel = shown(qtbot, StagesPanel(Context(DARK)), snapshot)
    table = panel._views["stages_xy"].image.lut
    assert [f"#{r:02x}{g:02x}{b:02x}" for r, g, b, _ in table[1:]] == [c for c, _ in COLOURS]
    assert [chip.text() for chip in panel._chips] == ["I", "II", "III", "IV"]
    np.testing.assert_array_equal(panel.widget.data["stages_xy"], snapshot.ct.stages_xy)


def test_the_table_of_heterogeneity_has_a_row_per_exposure_with_uncertainties(
    qtbot: QtBot, snapshot: Snapshot
) -> None:
    panel = shown(qtbot, UnevenTable(Context(DARK)), snapshot)
    assert panel.widget.data["left / right"].tolist() == ["1.1520 ± 0.0040"]


def test_compared_maps_have_the_same_colours(qtbot: QtBot, snapshot: Snapshot) -> None:
    context = Context(DARK)
    panel = ComparePanel(context)
    qtbot.addWidget(panel.widget)
    for number, factor in ((1, 1.0), (2, 1.5)):
        emf = (snapshot.emf * factor).astype(np.float32)
        segment = replace(snapshot.segment, number=number)
        context.history.take(replace(snapshot, segment=segment, emf=emf))
    panel.show(snapshot)
    a, b, _ = (view._bar.levels() for view in panel._views)
    assert a == b


def test_the_table_of_states_has_an_uncertainty_wherever_one_is_known(snapshot: Snapshot) -> None:
    (row,) = (row for row in state_rows(snapshot) if row[0] == "5")
    assert row[5:] == ("3.42 ± 0.11", "4.31", "41.00 ± 0.32", "–")


def test_the_residual_is_a_median_with_its_uncertainty(qtbot: QtBot, snapshot: Snapshot) -> None:
    noise = np.random.default_rng(2).normal(-0.002, 0.4, snapshot.emf.shape).astype(np.float32)
    n_seen = int(np.isfinite(snapshot.emf).sum())
    panel = shown(qtbot, PeakMap(Context(DARK)), replace(snapshot, peak_residual_kev=noise))
    sigma = median_sigma(noise[np.isfinite(snapshot.emf)])
    assert sigma == pytest.approx(0.4 * np.sqrt(np.pi / 2 / n_seen), rel=0.05)
    assert f"± {sigma:.4f} keV" in words(panel)


def test_before_the_first_frame_no_pixel_is_called_dead(qtbot: QtBot, snapshot: Snapshot) -> None:
    panel = shown(qtbot, HitsMap(Context(DARK)), replace(snapshot, hits=0 * snapshot.hits))
    assert "no hits yet" in words(panel)
    assert panel._view._bar.levels() == (0, 1)


def test_an_empty_plot_of_the_backlog_is_explained(qtbot: QtBot, snapshot: Snapshot) -> None:
    context = Context(DARK)
    said = []
    for backlog_ms in (None, 41.0):
        health = replace(snapshot.health, backlog_ms=backlog_ms)
        context.history.take(replace(snapshot, health=health))
        said.append(words(shown(qtbot, RatesPanel(context), snapshot)))
    assert ["no backlog" in text for text in said] == [True, False]


@pytest.mark.parametrize("make", PANELS)
def test_a_panel_without_data_says_so(qtbot: QtBot, make: Make) -> None:
    panel = make(Context(DARK))
    qtbot.addWidget(panel.widget)
    without = ("no data yet", "no scan", "no surface yet", "two scans are needed")
    assert panel.widget._value.said in without


def test_colours_have_no_numbers_before_there_is_a_map(qtbot: QtBot, snapshot: Snapshot) -> None:
    panel = EmfMap(Context(DARK))
    qtbot.addWidget(panel.widget)
    axis = panel._view._bar.getAxis("right")
    assert not axis.style["showValues"]
    panel.show(snapshot)
    assert axis.style["showValues"]
    panel.show(undefined(snapshot))
    assert not axis.style["showValues"]


def test_cursors_are_shown_with_the_slices(qtbot: QtBot, snapshot: Snapshot) -> None:
    panel = LinkedSlices(Context(DARK))
    qtbot.addWidget(panel.widget)
    assert not any(line.isVisible() for _, line in panel._lines)
    panel.show(snapshot)
    assert all(line.isVisible() for _, line in panel._lines)


def test_the_peak_is_drawn_as_measured_too(qtbot: QtBot, snapshot: Snapshot) -> None:
    panel = shown(qtbot, PeakMap(Context(DARK)), snapshot)
    panel._kinds.setCurrentIndex(1)
    panel._again()
    drawn = panel._view._image.image
    seen = np.isfinite(snapshot.emf)
    np.testing.assert_allclose(drawn[seen], 93.87377 + snapshot.peak_residual_kev[seen], atol=1e-4)
    assert panel._view._bar.getAxis("right").labelText == "Compton peak (keV)"
    assert " ± " in words(panel)


def test_the_roi_of_a_slice_has_its_mean_and_scatter(qtbot: QtBot, snapshot: Snapshot) -> None:
    panel = shown(qtbot, LinkedSlices(Context(DARK)), snapshot)
    assert "ROI" not in panel.widget._caption.said
    panel._roi.box.setChecked(True)
    corner, size = panel._roi._rectangle.pos(), panel._roi._rectangle.size()
    pixel_um = snapshot.ct.pixel_um
    left, top = round(corner.x() / pixel_um), round(corner.y() / pixel_um)
    end = round((corner.x() + size.x()) / pixel_um)
    within = snapshot.ct.xy[top : top + end - left, left:end]
    expected = with_sigma(float(within.mean()), float(within.std()), percent=False)
    assert panel.widget._caption.said.endswith(f"ROI {expected}")
    panel._roi._rectangle.setPos(-1e9, 0)
    assert panel.widget._caption.said.endswith("ROI: outside")
    panel._roi.box.setChecked(False)
    assert "ROI" not in panel.widget._caption.said


def test_the_charge_is_a_curve_of_its_own_on_the_page_of_the_cell(
    qtbot: QtBot, snapshot: Snapshot
) -> None:
    panel = shown(qtbot, cycling_with_charge(Context(DARK)), snapshot)
    charge_mah = [1e3 * row[3] for row in snapshot.cycler]
    np.testing.assert_allclose(panel._curves[2].yData, charge_mah)


def test_colours_of_every_map_have_a_unit(qtbot: QtBot, snapshot: Snapshot) -> None:
    for make in (EmfMap, SigmaMap, CountsMap, PeakMap, HitsMap):
        panel = shown(qtbot, make(Context(DARK)), snapshot)
        assert panel._view._bar.getAxis("right").labelText


def test_a_row_of_one_word_has_the_width_of_the_table(qtbot: QtBot) -> None:
    grid = Grid(("what", "number", "share"), [0])
    qtbot.addWidget(grid)
    grid.write([("frames", "3", ""), ("counted on a device of a long name", "", "")])
    assert [grid.columnSpan(row, 0) for row in (0, 1)] == [1, 3]
    grid.write([("counted on another", "", ""), ("frames", "3", "")])
    assert [grid.columnSpan(row, 0) for row in (0, 1)] == [3, 1]


def test_stages_are_shown_around_the_anode() -> None:
    stages = np.zeros((50, 60), np.uint8)
    stages[10:30, 20:45] = 2
    np.testing.assert_array_equal(cut_out(stages), stages[9:31, 19:46])
    assert cut_out(np.zeros((4, 5), np.uint8)).shape == (4, 5)
