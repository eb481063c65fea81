import h5py
import numpy as np
import pytest

from hexlive.reconstruct.ct.scan import Scan, ScanError
from hexlive.stream.files import FileError
from hexlive.stream.layouts import FormatError
from hexlive.stream.nxtomo import NO_PIXEL_SIZE, ScanFile, ScanGroup, read_scan, write_scan

KEY = np.array([2, 1, 0, 0, 0, 0, 1, 2], np.uint8)
ANGLES = np.array([0, 0, 0, 45, 90, 135, 135, 135], float)
IMAGES = np.random.default_rng(0).integers(100, 60_000, (8, 5, 12)).astype(np.uint16)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "scan.nxs"


def put(file, data, image_key, angle, images=IMAGES, key=KEY, angles=ANGLES):
    file[data], file[image_key], file[angle] = images, key, angles


def check(scan):
    np.testing.assert_array_equal(scan.projections, IMAGES[2:6])
    np.testing.assert_array_equal(scan.flats, IMAGES[[1, 6]])
    np.testing.assert_array_equal(scan.darks, IMAGES[[0, 7]])
    np.testing.assert_array_equal(scan.angles_deg, [0, 45, 90, 135])


def test_a_scan_written_in_batches_is_read_back(path):
    file = ScanFile(path, (5, 12), pixel_um=6.48)
    for part in (slice(0, 3), slice(3, 4), slice(4, 8)):
        file.append(IMAGES[part], ANGLES[part], KEY[part])
    assert file.close() == path
    scan = read_scan(path)
    check(scan)
    np.testing.assert_array_equal(scan.taken.projections, [2, 3, 4, 5])
    np.testing.assert_array_equal(scan.taken.flats, [1, 6])
    assert scan.pixel_um == pytest.approx(6.48)
    assert scan.notes == ()


def test_a_scan_has_its_name_only_when_complete(path):
    file = ScanFile(path, (5, 12))
    file.append(IMAGES, ANGLES, KEY)
    assert not path.exists()
    file.close()
    assert [p.name for p in path.parent.iterdir()] == ["scan.nxs"]


def test_a_scan_is_stored_in_bands_so_that_few_rows_are_read_without_the_rest(path):
    images = np.random.default_rng(1).integers(0, 60_000, (6, 300, 1000)).astype(np.uint16)
    write_scan(path, Scan(projections=images, flats=None, darks=None, angles_deg=np.arange(6.0)))
    with h5py.File(path) as file:
        data = file["entry1/tomo_entry/data/data"]
        assert data.chunks == (1, 131, 1000)
    np.testing.assert_array_equal(read_scan(path).projections, images)


def test_a_discarded_scan_leaves_nothing(path):
    file = ScanFile(path, (5, 12))
    file.append(IMAGES, ANGLES, KEY)
    file.discard()
    assert not any(path.parent.iterdir())


def test_a_written_scan_follows_nexus(path):
    write_scan(path, Scan(projections=IMAGES, flats=None, darks=None, angles_deg=ANGLES))
    with h5py.File(path) as file:
        entry = file[file.attrs["default"]]
        tomo = entry[entry.attrs["default"]]
        assert tomo["definition"][()] == b"NXtomo"
        data = tomo[tomo.attrs["default"]]
        assert data.attrs["NX_class"] == "NXdata"
        assert data[data.attrs["signal"]].shape == IMAGES.shape


def test_a_scan_that_does_not_fit_on_the_disk_leaves_nothing(path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ScanGroup, "append", full)
    with pytest.raises(FileError, match="No space left"):
        write_scan(path, Scan(projections=IMAGES, flats=None, darks=None, angles_deg=ANGLES))
    assert not any(path.parent.iterdir())


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_scans_of_counts_and_of_line_integrals_round_trip(path, dtype):
    scan = Scan(
        projections=IMAGES[:4].astype(dtype),
        flats=IMAGES[4:6].astype(dtype),
        darks=None,
        angles_deg=np.array([0.0, 30.5, 90, 120]),
    )
    write_scan(path, scan)
    back = read_scan(path)
    assert back.projections.dtype == dtype
    np.testing.assert_array_equal(back.projections, scan.projections)
    np.testing.assert_array_equal(back.flats, scan.flats)
    np.testing.assert_array_equal(back.angles_deg, scan.angles_deg)
    assert back.darks is None


@pytest.mark.parametrize(
    ("images", "angles", "key"),
    [(IMAGES[:3], ANGLES[:2], KEY[:3]), (IMAGES[:3, 1:], ANGLES[:3], KEY[:3])],
)
def test_images_that_do_not_fit_are_refused_whole(path, images, angles, key):
    file = ScanFile(path, (5, 12))
    with pytest.raises(ValueError, match=r"differ in length|do not fit"):
        file.append(images, angles, key)
    file.append(IMAGES, ANGLES, KEY)
    file.close()
    check(read_scan(path))


@pytest.mark.parametrize(
    "names",
    [
        ("entry1/tomo_entry/instrument/detector/data", "entry1/tomo_entry/data/image_key",
         "entry1/tomo_entry/sample/rotation_angle"),
        ("entry/imaging/data", "entry/instrument/imaging/image_key",
         "entry/imaging_sum/gts_cs_theta"),
        ("entry/imaging/data", "entry/imaging/image_key", "entry/imaging/rotation_angle"),
        ("scan_0003/data/data", "scan_0003/data/image_key", "scan_0003/data/rotation_angle"),
        ("data", "image_key", "rotation_angle"),
    ],
)  # fmt: skip
def test_every_layout_is_found_without_being_told(path, names):
    with h5py.File(path, "w") as file:
        put(file, *names)
    check(read_scan(path))


def test_an_entry_chooses_between_scans(path):
    with h5py.File(path, "w") as file:
        put(file, "scan_0001/data/data", "scan_0001/data/image_key",
            "scan_0001/data/rotation_angle", images=IMAGES + 1)  # fmt: skip
        put(file, *(f"scan_0002/data/{n}" for n in ("data", "image_key", "rotation_angle")))
    check(read_scan(path, "scan_0002"))
    with pytest.raises(FormatError, match="no entry 'scan_0007'; it has scan_0001, scan_0002"):
        read_scan(path, "scan_0007")


def test_images_in_another_file_are_followed(path):
    with h5py.File(path.with_name("images.h5"), "w") as file:
        file["raw"] = IMAGES
    with h5py.File(path, "w") as file:
        file["entry/imaging/data"] = h5py.ExternalLink("images.h5", "raw")
        file["entry/instrument/imaging/image_key"] = KEY
        file["entry/imaging_sum/gts_cs_theta"] = ANGLES
    check(read_scan(path))
    path.with_name("images.h5").unlink()
    with pytest.raises(FormatError, match="no data was found"):
        read_scan(path)


def test_data_exchange_is_read(path):
    with h5py.File(path, "w") as file:
        file["exchange/data"], file["exchange/theta"] = IMAGES[2:6], ANGLES[2:6]
        file["exchange/data_white"], file["exchange/data_dark"] = IMAGES[[1, 6]], IMAGES[[0, 7]]
    check(read_scan(path))


def test_data_exchange_says_what_it_lacks(path):
    with h5py.File(path, "w") as file:
        file["exchange/data"] = IMAGES[2:6]
        file["exchange/theta"] = np.deg2rad([0, 45, np.nan, 135, 180])
        file["exchange/theta"].attrs["units"] = "radians"
    scan = read_scan(path)
    np.testing.assert_array_equal(scan.projections, IMAGES[[2, 3, 5]])
    np.testing.assert_allclose(scan.angles_deg, [0, 45, 135])
    assert scan.flats is None
    assert scan.notes == (
        NO_PIXEL_SIZE,
        "1 of 4 images have no angle and were left out.",
        "The scan was cut short: 1 images lack their pixels or angle.",
    )


def test_data_exchange_with_stacks_of_no_images_has_no_flats_and_darks(path):
    with h5py.File(path, "w") as file:
        file["exchange/data"], file["exchange/theta"] = IMAGES[2:6], ANGLES[2:6]
        file["exchange/data_white"] = file["exchange/data_dark"] = IMAGES[:0]
    scan = read_scan(path)
    assert scan.flats is None
    assert scan.darks is None


def test_data_exchange_follows_links_and_misses_what_is_gone(path):
    with h5py.File(path.with_name("raw.h5"), "w") as file:
        file["images"] = IMAGES[2:6]
    with h5py.File(path, "w") as file:
        file["exchange/data"] = h5py.ExternalLink("raw.h5", "images")
        file["exchange/theta"] = ANGLES[2:6]
    np.testing.assert_array_equal(read_scan(path).projections, IMAGES[2:6])
    path.with_name("raw.h5").unlink()
    with pytest.raises(FormatError, match=r"holds no projections|links to a file that is gone"):
        read_scan(path)


def test_only_the_rows_asked_for_are_read(path):
    write_scan(path, Scan(projections=IMAGES, flats=IMAGES, darks=None, angles_deg=ANGLES))
    scan = read_scan(path, rows=slice(1, 3))
    np.testing.assert_array_equal(scan.projections, IMAGES[:, 1:3])
    np.testing.assert_array_equal(scan.flats, IMAGES[:, 1:3])


def test_invalid_images_are_left_out_and_counted(path):
    key = KEY.copy()
    key[3] = 3
    angles = ANGLES.copy()
    angles[4] = np.nan
    with h5py.File(path, "w") as file:
        put(file, "data", "image_key", "rotation_angle", key=key, angles=angles)
    scan = read_scan(path)
    np.testing.assert_array_equal(scan.projections, IMAGES[[2, 5]])
    said = "2 of 8 images are marked invalid and were left out."
    assert scan.notes == (said, NO_PIXEL_SIZE)


def test_a_scan_cut_short_is_read_as_far_as_it_goes(path):
    with h5py.File(path, "w") as file:
        put(file, "data", "image_key", "rotation_angle", images=IMAGES[:5])
    scan = read_scan(path)
    np.testing.assert_array_equal(scan.projections, IMAGES[2:5])
    assert "3 images lack" in scan.notes[0]


def test_units_are_converted(path):
    with h5py.File(path, "w") as file:
        put(file, "e/data/data", "e/data/image_key", "e/data/rotation_angle",
            angles=np.deg2rad(ANGLES))  # fmt: skip
        file["e/data/rotation_angle"].attrs["units"] = "rad"
        file["e/instrument/detector/x_pixel_size"] = 3.24e-6
    scan = read_scan(path)
    np.testing.assert_allclose(scan.angles_deg, [0, 45, 90, 135])
    assert scan.pixel_um == pytest.approx(3.24)


def with_pixel_size(path, value, **attrs):
    with h5py.File(path, "w") as file:
        put(file, "e/data/data", "e/data/image_key", "e/data/rotation_angle")
        file["e/instrument/detector/x_pixel_size"] = value
        file["e/instrument/detector/x_pixel_size"].attrs.update(attrs)
    return read_scan(path)


@pytest.mark.parametrize(
    ("value", "attrs"),
    [(3.24e-6, {}), (3.24e-6, {"units": ""}), ([3.24], {"units": "um"}), (3.24, {"units": "μm"}),
     (3.24, {"units": "microns"}), (3.24e-3, {"units": "mm"}), (3240.0, {"units": "nm"})],
)  # fmt: skip
def test_a_pixel_size_has_any_unit_of_length(path, value, attrs):
    scan = with_pixel_size(path, value, **attrs)
    assert scan.pixel_um == pytest.approx(3.24)
    assert scan.notes == ()


@pytest.mark.parametrize(
    ("value", "units", "said"),
    [(1.0, "pixel", "1 pixel"), (-3.0, "um", "-3 um"), (np.nan, "um", "nan um"),
     (0.0, "m", "0 m"), ([1.0, 2.0], "um", "2 numbers")],
)  # fmt: skip
def test_a_pixel_size_that_means_nothing_is_left_out_and_said(path, value, units, said):
    scan = with_pixel_size(path, value, units=units)
    assert scan.pixel_um is None
    assert scan.notes == (
        f"The scan has {said} for its pixel size, so tomography.pixel_um was taken.",
    )


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ({"data": IMAGES, "rotation_angle": ANGLES}, "no image_key was found"),
        ({"data": IMAGES, "image_key": KEY}, "no rotation_angle was found"),
        ({"image_key": KEY, "rotation_angle": ANGLES}, "no data was found"),
        ({"data": IMAGES[0], "image_key": KEY, "rotation_angle": ANGLES}, "not a stack of images"),
        ({"data": IMAGES, "image_key": KEY | 1, "rotation_angle": ANGLES}, "no projections"),
    ],
)
def test_what_is_missing_is_named_in_one_sentence(path, parts, sentence):
    with h5py.File(path, "w") as file:
        for name, value in parts.items():
            file[name] = value
    with pytest.raises(FormatError, match=sentence):
        read_scan(path)


def test_files_that_are_not_there_or_not_hdf5_are_refused(path):
    with pytest.raises(FileError, match="There is no file"):
        read_scan(path)
    path.write_text("not HDF5")
    with pytest.raises(FileError, match="not a readable HDF5 file"):
        read_scan(path)
    with pytest.raises(FileError, match="no folder"):
        ScanFile(path / "missing" / "scan.nxs", (5, 12))


def test_a_truncated_file_is_refused_in_one_sentence(path):
    write_scan(path, Scan(projections=IMAGES, flats=None, darks=None, angles_deg=ANGLES))
    path.write_bytes(path.read_bytes()[:-700])
    with pytest.raises(FileError, match=r"not a readable|damaged"):
        read_scan(path)


def test_a_damaged_chunk_is_refused_in_one_sentence(path):
    write_scan(path, Scan(projections=IMAGES, flats=None, darks=None, angles_deg=ANGLES))
    with h5py.File(path) as file:
        chunk = file["entry1/tomo_entry/data/data"].id.get_chunk_info(3)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset : chunk.byte_offset + chunk.size] = b"\xff" * chunk.size
    path.write_bytes(content)
    with pytest.raises(ScanError, match=r"Images \d+ to \d+ cannot be read: .* damaged"):
        read_scan(path)


@pytest.mark.parametrize(
    ("name", "projections", "flats"),
    [
        ("tooth", (181, 2, 640), (10, 2, 640)),
        ("k11_diad", (3001, 22, 26), (100, 22, 26)),
        ("dendrite", (360, 1, 1260), None),
    ],
)
def test_real_scans_are_read(shared_data, name, projections, flats):
    scan = read_scan(shared_data / "tomography" / f"{name}.nxs")
    assert scan.projections.shape == projections
    assert scan.flats is None or scan.flats.shape == flats
    assert np.ptp(scan.angles_deg) == pytest.approx(180, abs=1)
    assert scan.notes == (NO_PIXEL_SIZE,)
