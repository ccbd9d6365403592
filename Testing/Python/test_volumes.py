"""Files of every format: what is read, where it is put, what is written, and what is refused without a sound."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from GlobalLocalAlignmentLib import volumes
from GlobalLocalAlignmentLib.errors import InputError
from GlobalLocalAlignmentLib.volumes import Volume, check_same_geometry, read_labelmap, read_volume, write_volume

SUFFIXES = [".nii.gz", ".nii", ".nrrd", ".mha", ".mhd"]
NIFTI_FIELDS = {
    "sizes": 42,
    "kind": 70,
    "pixdim": 80,
    "slope": 112,
    "unit": 123,
    "qform_code": 252,
    "sform_code": 254,
    "srow": 280,
}


def rotated(spacing: tuple[float, ...], flip: int = 1) -> np.ndarray:
    """Oblique matrix; left-handed with ``flip`` of -1."""
    a, b = 0.4, -0.3
    first = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    second = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    matrix = np.eye(4)
    matrix[:3, :3] = first @ second * np.array(spacing) * (flip, 1, 1)
    matrix[:3, 3] = (-31.5, 12.25, 140)
    return matrix


MATRICES = {
    "plain": np.diag([1.5, 2.0, 3.0, 1.0]),
    "oblique": rotated((0.7, 0.9, 5.0)),
    "left-handed": np.diag([-1.5, 2.0, 3.0, 1.0]),
    "left-handed oblique": rotated((0.7, 0.9, 5.0), -1),
    "sagittal": np.array([[0, 0, 3.0, 1], [-2.0, 0, 0, 2], [0, -1.5, 0, 3], [0, 0, 0, 1]]),
}


def numbers(shape: tuple[int, ...] = (5, 6, 7), kind: type = np.int16) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 99, shape).astype(kind)


def nifti(path: Path, array: np.ndarray | None = None, matrix: np.ndarray | None = None, **fields: np.ndarray) -> Path:
    """NIfTI file with bytes of its header changed after it was written."""
    array, matrix = numbers() if array is None else array, MATRICES["plain"] if matrix is None else matrix
    write_volume(Volume(array, matrix), path.with_name("whole.nii"))
    content = bytearray(path.with_name("whole.nii").read_bytes())
    for name, value in fields.items():
        content[NIFTI_FIELDS[name] : NIFTI_FIELDS[name] + value.nbytes] = value.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def refused(path: Path, words: str, reader=read_volume) -> None:
    with pytest.raises(InputError, match=words) as caught:
        reader(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


# Writing


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kind", MATRICES)
def test_a_world_point_is_at_the_same_place_here_in_itk_and_in_nibabel(tmp_path: Path, suffix: str, kind: str):
    path, matrix = tmp_path / f"x{suffix}", MATRICES[kind]
    write_volume(Volume(numbers(), matrix), path)
    place = (matrix @ (4, 5, 6, 1))[:3]
    again = read_volume(path)
    assert np.allclose((again.ijk_to_ras @ (4, 5, 6, 1))[:3], place, atol=1e-4)
    image = sitk.ReadImage(str(path))
    assert np.allclose(np.array(image.TransformIndexToPhysicalPoint([4, 5, 6])) * (-1, -1, 1), place, atol=1e-4)
    assert image[4, 5, 6] == again.array[4, 5, 6] == numbers()[4, 5, 6]
    if suffix.startswith(".nii"):
        other = nibabel.load(path)
        assert np.allclose((other.affine @ (4, 5, 6, 1))[:3], place, atol=1e-4)
        assert other.header["qform_code"] == other.header["sform_code"] == 1
        assert np.allclose(other.get_qform(), other.get_sform(), atol=1e-4)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kind", [np.uint8, np.int8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.float32])
def test_the_type_of_the_values_is_kept(tmp_path: Path, suffix: str, kind: type):
    write_volume(Volume(numbers(kind=kind), np.eye(4)), tmp_path / f"x{suffix}")
    again = read_volume(tmp_path / f"x{suffix}").array
    assert again.dtype == kind
    assert np.array_equal(again, numbers())


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(("kind", "stored"), [(bool, np.uint8), (np.float64, np.float32), (np.float16, np.float32)])
def test_types_that_few_programs_read_are_written_as_common_ones(tmp_path: Path, suffix: str, kind: type, stored: type):
    write_volume(Volume(numbers(kind=kind), np.eye(4)), tmp_path / f"x{suffix}")
    assert read_volume(tmp_path / f"x{suffix}").array.dtype == stored


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_only_the_named_file_and_its_data_are_left_after_writing(tmp_path: Path, suffix: str):
    write_volume(Volume(numbers(), np.eye(4)), tmp_path / "new" / f"x{suffix}")
    expected = {f"x{suffix}"} | ({"x.raw"} if suffix == ".mhd" else set())
    assert {path.name for path in (tmp_path / "new").iterdir()} == expected


def test_the_data_file_of_a_renamed_header_has_its_name(tmp_path: Path):
    write_volume(Volume(numbers(), np.eye(4)), tmp_path / "x.mhd")
    write_volume(Volume(numbers() + 1, np.eye(4)), tmp_path / "x.mhd")
    assert np.array_equal(read_volume(tmp_path / "x.mhd").array, numbers() + 1)


def test_a_name_that_is_not_ascii_is_written_and_read(tmp_path: Path):
    for suffix in SUFFIXES:
        path = tmp_path / "Müller 患者" / f"é{suffix}"
        write_volume(Volume(numbers(), np.eye(4)), path)
        assert np.array_equal(read_volume(path).array, numbers())


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_full_disk_is_reported_and_keeps_what_was_there(tmp_path: Path, suffix: str):
    """In a process of its own, which may not write files as large as this one: the writers see a failing disk."""
    import resource

    path = tmp_path / f"x{suffix}"
    path.write_bytes(b"what was there")
    program = (
        "import sys, numpy; from pathlib import Path\n"
        "from GlobalLocalAlignmentLib.volumes import InputError, Volume, write_volume\n"
        "array = numpy.random.default_rng(0).integers(0, 30000, (40, 40, 20)).astype('int16')\n"
        "try: write_volume(Volume(array, numpy.eye(4)), Path(sys.argv[1]))\n"
        "except InputError as error: print(error)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        env={**os.environ, "PYTHONPATH": str(Path(volumes.__file__).parents[1])},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"cannot be written into {tmp_path}" in result.stdout
    assert path.read_bytes() == b"what was there"
    assert list(tmp_path.iterdir()) == [path]


def test_a_suffix_that_cannot_be_written_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match=r"\.jpg: has no suffix that can be written"):
        write_volume(Volume(numbers(), np.eye(4)), tmp_path / "x.jpg")


def test_a_sheared_matrix_is_kept_in_nifti(tmp_path: Path):
    matrix = np.diag([1.0, 2.0, 3.0, 1.0])
    matrix[1, 2] = 0.8
    write_volume(Volume(numbers(), matrix), tmp_path / "x.nii.gz")
    assert np.allclose(read_volume(tmp_path / "x.nii.gz").ijk_to_ras, matrix)


# Reading NIfTI: where ITK, and so Slicer, puts it


@pytest.mark.parametrize(("sform_code", "qform_code"), [(0, 1), (1, 0), (1, 1), (2, 0), (2, 1), (4, 1)])
def test_of_two_matrices_in_a_header_the_one_of_itk_is_taken(tmp_path: Path, sform_code: int, qform_code: int):
    path, image = tmp_path / "x.nii", nibabel.Nifti1Image(numbers(), np.eye(4))
    image.set_sform(MATRICES["plain"], sform_code)
    image.set_qform(MATRICES["left-handed oblique"] * np.diag([1, 1, 1, 1]), qform_code)
    image.header["pixdim"][1:4] = (1.5, 2, 3) if sform_code == 1 or not qform_code else (0.7, 0.9, 5)
    image.to_filename(path)
    expected = np.array(sitk.ReadImage(str(path)).TransformIndexToPhysicalPoint([1, 2, 3])) * (-1, -1, 1)
    assert np.allclose((read_volume(path).ijk_to_ras @ (1, 2, 3, 1))[:3], expected, atol=1e-4)


def test_micrometres_are_read_as_millimetres(tmp_path: Path):
    path = nifti(tmp_path / "x.nii", unit=np.uint8(3))
    assert np.allclose(read_volume(path).spacing, (0.0015, 0.002, 0.003))


def test_a_spacing_that_contradicts_the_matrix_is_refused(tmp_path: Path):
    path = nifti(tmp_path / "x.nii", pixdim=np.ones(3, np.float32), qform_code=np.int16(0))
    refused(path, "contradicts itself: voxels of 1x1x1 mm by its spacing, 1.5x2x3 mm by its matrix")


@pytest.mark.parametrize("spacing", [(0, 2, 3), (1.5, -2, 3), (1.5, 2, np.nan)])
def test_a_spacing_that_is_no_length_is_refused(tmp_path: Path, spacing: tuple[float, ...]):
    refused(nifti(tmp_path / "x.nii.gz", pixdim=np.array(spacing, np.float32)), "has a voxel spacing of")


def test_parallel_axes_are_refused(tmp_path: Path):
    matrix = np.array([[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0]], np.float32)
    path = nifti(tmp_path / "x.nii", matrix=np.eye(4), srow=matrix, qform_code=np.int16(0))
    refused(path, "two of its axes are parallel")


def test_a_place_that_is_no_number_is_refused(tmp_path: Path):
    path = nifti(tmp_path / "x.nii", srow=np.full(12, np.nan, np.float32), qform_code=np.int16(0))
    refused(path, "position that is no number")


def test_no_voxels_are_refused(tmp_path: Path):
    refused(nifti(tmp_path / "x.nii", sizes=np.int16(0)), r"has no voxels \(0x6x7\)")


def test_a_line_of_voxels_is_refused(tmp_path: Path):
    path = tmp_path / "x.nii"
    write_volume(Volume(numbers((1, 9, 1)), np.eye(4)), path)
    refused(path, "has 1x9x1 voxels; name a volume, not a line")


def test_scaled_values_come_as_32_bits(tmp_path: Path):
    path = nifti(tmp_path / "x.nii.gz", slope=np.array([0.5, -1024], np.float32))
    array = read_volume(path).array
    assert array.dtype == np.float32
    assert np.allclose(array, numbers() * 0.5 - 1024)


def test_bytes_in_the_other_order_are_read(tmp_path: Path):
    header = nibabel.Nifti1Header(endianness=">")
    header.set_data_dtype(np.int16)
    nibabel.Nifti1Image(numbers(), np.eye(4), header).to_filename(tmp_path / "x.nii.gz")
    array = read_volume(tmp_path / "x.nii.gz").array
    assert array.dtype.isnative
    assert np.array_equal(array, numbers())


def test_nifti_2_is_read_in_silence(tmp_path: Path, capfd: pytest.CaptureFixture):
    nibabel.Nifti2Image(numbers(), MATRICES["oblique"]).to_filename(tmp_path / "x.nii")
    assert np.allclose(read_volume(tmp_path / "x.nii").ijk_to_ras, MATRICES["oblique"], atol=1e-5)
    assert capfd.readouterr() == ("", "")


def test_a_type_that_nibabel_does_not_know_is_refused_in_silence(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    refused(nifti(tmp_path / "x.nii", kind=np.int16(77)), "has a broken NIfTI header")
    assert not caplog.records


def test_colours_in_nifti_are_refused(tmp_path: Path):
    colours = np.zeros((4, 5, 6), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    nibabel.Nifti1Image(colours, np.eye(4)).to_filename(tmp_path / "x.nii")
    refused(tmp_path / "x.nii", "colours or vectors")


def test_complex_numbers_are_refused(tmp_path: Path):
    nibabel.Nifti1Image(numbers() * np.complex64(1j), np.eye(4)).to_filename(tmp_path / "x.nii")
    refused(tmp_path / "x.nii", "holds complex64 values")


# Damaged files


@pytest.mark.parametrize("place", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_one_wrong_byte_in_compressed_values_is_refused(tmp_path: Path, suffix: str, place: float):
    path = tmp_path / f"x{suffix}"
    write_volume(Volume(numbers((30, 30, 20)), np.eye(4)), path)
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 0x10
    path.write_bytes(content)
    refused(path, "cannot be read")


@pytest.mark.parametrize("missing", [1, 9])
def test_a_file_without_its_last_bytes_is_refused(tmp_path: Path, missing: int):
    path = nifti(tmp_path / "x.nii.gz")
    path.write_bytes(path.read_bytes()[:-missing])
    refused(path, "cannot be read")


@pytest.mark.parametrize("suffix", [".nii", ".mhd"])
def test_plain_values_that_end_too_early_are_refused(tmp_path: Path, suffix: str):
    write_volume(Volume(numbers(), np.eye(4)), tmp_path / f"x{suffix}")
    data = tmp_path / ("x.raw" if suffix == ".mhd" else "x.nii")
    data.write_bytes(data.read_bytes()[:-2])
    refused(tmp_path / f"x{suffix}", "cannot be read")


def test_a_missing_data_file_is_named(tmp_path: Path):
    write_volume(Volume(numbers(), np.eye(4)), tmp_path / "x.mhd")
    (tmp_path / "x.raw").unlink()
    refused(tmp_path / "x.mhd", "names the data file x.raw, which is not there")


def metaimage(path: Path, **fields: str) -> Path:
    header = {"NDims": "3", "ElementSpacing": "1 1 1", "DimSize": "5 6 7", "ElementType": "MET_SHORT"} | fields
    lines = [f"{key} = {value}\n" for key, value in ({"ObjectType": "Image"} | header).items() if value]
    path.write_bytes("".join([*lines, "ElementDataFile = LOCAL\n"]).encode() + numbers().T.tobytes())
    return path


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"ElementSpacing": "0 1 1"}, "has a voxel spacing of 0x1x1 mm"),
        ({"ElementSpacing": "1 -1 1"}, "has a voxel spacing of 1x-1x1 mm"),
        ({"ElementSpacing": "one 1 1"}, "has a broken MetaImage header"),
        ({"TransformMatrix": "1 0 0 1 0 0 0 0 1"}, "direction matrix that is singular"),
        ({"DimSize": "5 6 0"}, "has no voxels"),
        ({"DimSize": ""}, "has a broken MetaImage header"),
        ({"DimSize": "5000 6000 7000"}, "damaged or cut short"),
        ({"ElementType": "MET_UNHEARD"}, "has a broken MetaImage header"),
        ({"CompressedData": "True", "CompressedDataSize": "300"}, "damaged or cut short"),
        ({"ElementNumberOfChannels": "3", "DimSize": "5 2 7"}, "several numbers a voxel"),
    ],
)
def test_a_broken_metaimage_is_refused_in_silence(
    tmp_path: Path, fields: dict[str, str], words: str, capfd: pytest.CaptureFixture
):
    refused(metaimage(tmp_path / "x.mha", **fields), words)
    assert capfd.readouterr() == ("", "")


def test_a_metaimage_of_another_program_is_read(tmp_path: Path):
    path = metaimage(tmp_path / "x.mha", Offset="1 2 3", ElementSpacing="2 2 4")
    volume = read_volume(path)
    assert np.array_equal(volume.array, numbers())
    assert np.allclose(volume.ijk_to_ras, [[-2, 0, 0, -1], [0, -2, 0, -2], [0, 0, 4, 3], [0, 0, 0, 1]])


@pytest.mark.parametrize(
    ("directions", "words"),
    [("(0,0,0) (0,2,0) (0,0,3)", "spacing of zero"), ("(2,0,0) (2,0,0) (0,0,3)", "direction matrix that is singular")],
)
def test_a_broken_nrrd_geometry_is_refused(tmp_path: Path, directions: str, words: str):
    header = (
        "NRRD0004\ntype: short\ndimension: 3\nspace: left-posterior-superior\nsizes: 5 6 7\nendian: little\n"
        f"encoding: raw\nkinds: domain domain domain\nspace directions: {directions}\n\n"
    )
    (tmp_path / "x.nrrd").write_bytes(header.encode() + numbers().T.tobytes())
    refused(tmp_path / "x.nrrd", words)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_a_damaged_header_never_prints_and_never_fails_otherwise(
    tmp_path: Path, suffix: str, capfd: pytest.CaptureFixture
):
    path = tmp_path / f"x{suffix}"
    write_volume(Volume(numbers(), np.eye(4)), path)
    content = path.read_bytes()
    generator = np.random.default_rng(3)
    for _ in range(60):
        path.write_bytes(bytes(generator.integers(0, 256, int(generator.integers(1, 400)), np.uint8)) + content[200:])
        refused(path, ".")
    assert capfd.readouterr() == ("", "")


# Label maps


def test_labels_that_a_header_scales_are_whole_again(tmp_path: Path):
    path = nifti(tmp_path / "x.nii", numbers(), slope=np.array([1 / 3, 0], np.float32))
    refused(path, "not whole numbers", read_labelmap)
    path = nifti(tmp_path / "x.nii", numbers() * 41, slope=np.array([1 / 41, 0], np.float32))
    assert (read_volume(path).array % 1).any()
    labels = read_labelmap(path).array
    assert labels.dtype == np.int16
    assert np.array_equal(labels, numbers())


@pytest.mark.parametrize(("value", "kind"), [(205.0, np.int16), (70000.0, np.int32)])
def test_floating_point_labels_become_integers_that_hold_them(tmp_path: Path, value: float, kind: type):
    write_volume(Volume(np.full((4, 5, 6), value, np.float32), np.eye(4)), tmp_path / "x.nrrd")
    labels = read_labelmap(tmp_path / "x.nrrd").array
    assert labels.dtype == kind
    assert (labels == value).all()


@pytest.mark.parametrize("value", [1e12, np.nan])
def test_values_that_no_label_has_are_refused(tmp_path: Path, value: float):
    write_volume(Volume(np.full((4, 5, 6), value, np.float32), np.eye(4)), tmp_path / "x.nrrd")
    refused(tmp_path / "x.nrrd", "not whole numbers", read_labelmap)


def test_a_label_map_of_background_alone_is_read(tmp_path: Path):
    write_volume(Volume(np.zeros((4, 5, 6), np.uint8), np.eye(4)), tmp_path / "x.nii.gz")
    assert read_labelmap(tmp_path / "x.nii.gz").array.max() == 0


# The same geometry


def moved(matrix: np.ndarray, **change: float) -> np.ndarray:
    """The matrix with its origin shifted by mm along R, or its first column made longer by a share."""
    result = matrix.copy()
    result[0, 3] += change.get("shift", 0)
    result[:3, 0] *= 1 + change.get("stretch", 0)
    return result


@pytest.mark.parametrize("change", [{"shift": 0.01}, {"stretch": 1e-5}])
def test_a_hundredth_of_a_voxel_is_the_same_geometry(change: dict[str, float]):
    image = Volume(numbers((200, 6, 7)), MATRICES["plain"])
    check_same_geometry(image, Volume(image.array, moved(image.ijk_to_ras, **change)))


@pytest.mark.parametrize("change", [{"shift": 0.05}, {"stretch": 1e-3}])
def test_more_than_a_hundredth_of_a_voxel_is_another_geometry(change: dict[str, float]):
    image = Volume(numbers((200, 6, 7)), MATRICES["plain"])
    with pytest.raises(InputError, match="mm beside its image"):
        check_same_geometry(image, Volume(image.array, moved(image.ijk_to_ras, **change)))


def test_another_number_of_voxels_is_refused_with_both_files():
    image, labels = (
        Volume(numbers(shape), np.eye(4), Path(name)) for shape, name in [((5, 6, 7), "i.nii"), ((5, 6, 8), "l.nii")]
    )
    with pytest.raises(
        InputError, match=r"l\.nii: .*5x6x8 voxels of 1x1x1 mm, axes RAS.* image i\.nii \(5x6x7"
    ) as caught:
        check_same_geometry(image, labels)
    assert "\n" not in str(caught.value)


def test_flipped_axes_are_named():
    array = numbers()
    flipped = np.diag([-1.0, 1, 1, 1])
    flipped[0, 3] = 4
    with pytest.raises(InputError, match="axes LAS.*axes RAS"):
        check_same_geometry(Volume(array, np.eye(4)), Volume(array, flipped))


def test_the_real_pairs_share_their_geometry(shared_data: Path):
    for folder in ("ct", "mr"):
        image = min((shared_data / "abdomen" / folder).glob("image_*"))
        check_same_geometry(read_volume(image), read_labelmap(image.with_name(image.name.replace("image", "label"))))
