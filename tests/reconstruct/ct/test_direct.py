import numpy as np

from hexlive.reconstruct.ct.direct import Direct
from hexlive.reconstruct.ct.geometry import Geometry, field_of_view

SIZE = 13
ANGLES = np.array([0.0, 0.3, 1.1, 2.0, 3.0])
GEOMETRY = Geometry(angles_rad=ANGLES, centre_px=6.0, columns=SIZE)


def projected(image):
    """The transpose: each pixel gives to the two columns between which it is seen."""
    middle, axis = (SIZE - 1) / 2, (GEOMETRY.width - 1) / 2
    y, x = np.nonzero(field_of_view(SIZE))
    lines = np.zeros((len(ANGLES), GEOMETRY.width))
    for angle, line in zip(ANGLES, lines, strict=True):
        s = axis + (x - middle) * np.cos(angle) + (y - middle) * np.sin(angle)
        column = s.astype(int)
        np.add.at(line, column, (1 - s + column) * image[y, x])
        np.add.at(line, column + 1, (s - column) * image[y, x])
    return lines


def test_back_projection_is_the_adjoint_of_projection():
    random = np.random.default_rng(0)
    projections = random.normal(size=(3, len(ANGLES), GEOMETRY.width)).astype(np.float32)
    images = random.normal(size=(3, SIZE, SIZE))
    back = Direct(GEOMETRY)(projections)
    for projection, image, slice_ in zip(projections, images, back, strict=True):
        left = np.vdot(projected(image), projection)
        right = np.vdot(image[field_of_view(SIZE)], slice_[field_of_view(SIZE)])
        np.testing.assert_allclose(left, right, rtol=1e-5)


def test_constant_projections_add_up_to_their_number():
    back = Direct(GEOMETRY)(np.ones((2, len(ANGLES), GEOMETRY.width), np.float32))
    np.testing.assert_allclose(back[:, field_of_view(SIZE)], len(ANGLES), rtol=1e-6)
