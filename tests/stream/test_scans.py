"""CT messages are taken for the scan that is open, and for no other."""

import msgspec
import numpy as np
import pytest

from hexlive.stream.ledger import Ledger
from hexlive.stream.model import AnyMessage, Projections, ScanEnd, ScanStart

START = ScanStart(series="s", scan=1, rows=2, columns=3, n_images=4, pixel_um=5.0)
END = ScanEnd(series="s", scan=1, n_images=4)


def images(rows: int = 2, scan: int = 1) -> Projections:
    return Projections(
        series="s", scan=scan, first_image=0, angles_deg=np.zeros(4),
        image_key=np.zeros(4, np.uint8), images=np.zeros((4, rows, 3), np.uint16),
    )  # fmt: skip


def after(*messages: AnyMessage) -> Ledger:
    ledger = Ledger((2, 3), 9000.0)
    for message in messages:
        assert ledger.accept(message).messages
    return ledger


@pytest.mark.parametrize(("before", "scan"), [((), 1), ((START,), 7)], ids=["none", "other"])
def test_images_without_their_open_scan_are_refused(
    before: tuple[AnyMessage, ...], scan: int
) -> None:
    ledger = after(*before)
    assert not ledger.accept(images(scan=scan)).messages
    assert ledger.rejected == {"unknown_scan": 1}


def test_images_of_another_size_are_refused() -> None:
    ledger = after(START, images())
    assert not ledger.accept(images(rows=5)).messages
    assert ledger.rejected == {"scan_shape": 1}


def test_a_scan_begins_once() -> None:
    ledger = after(START, images(), END)
    assert not ledger.accept(START).messages
    assert ledger.rejected == {"repeated_scan": 1}


def test_scans_of_several_series_get_numbers_of_their_own() -> None:
    ledger = after(START, END)
    ledger.finish()
    again = msgspec.structs.replace(START, series="t")
    assert ledger.accept(again).messages[-1].scan == 2
    assert ledger.accept(msgspec.structs.replace(images(), series="t")).messages[-1].scan == 2


def test_each_image_passes_once() -> None:
    ledger = after(START)
    first, again = images(), msgspec.structs.replace(images(), first_image=2)
    (taken,) = ledger.accept(first).messages
    (rest,) = ledger.accept(again).messages
    assert (taken.first_image, len(taken.images)) == (0, 4)
    assert (rest.first_image, len(rest.images), len(rest.angles_deg)) == (4, 2, 2)
    assert not ledger.accept(first).messages
    assert ledger.rejected == {"duplicate_image": 6}


def test_images_may_come_after_the_end_until_another_scan_begins() -> None:
    ledger = after(START, END, images())
    assert not ledger.accept(END).messages
    ledger.accept(msgspec.structs.replace(START, scan=2))
    assert not ledger.accept(images()).messages
    assert ledger.rejected == {"repeated_scan": 1, "unknown_scan": 1}
