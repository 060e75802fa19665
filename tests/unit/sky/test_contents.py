"""What stamps are made of is known by content, wherever the files lie."""

import shutil

import numpy as np
import pytest

from praesepe.errors import InputError, PraesepeWarning
from praesepe.network.estimator import Estimator, model_names
from praesepe.sky.contents import check_contents, contents_of, without_missing_stars
from praesepe.stars import load_passband
from praesepe.stars.curves import with_curves
from praesepe.stars.isochrones import IsochroneGrid
from praesepe.stars.store import write_grid
from praesepe.survey import load_survey

PHAT = load_survey("phat-nodust")


@pytest.fixture
def folder(tmp_path):
    """A folder with a filter curve, a PSF, a history and star fields."""
    files = tmp_path / "here"
    (files / "fields").mkdir(parents=True)
    curve = load_passband("acs_wfc_f475w")
    np.savetxt(files / "curve.txt", np.c_[curve.wavelength_angstrom, curve.throughput])
    (files / "psf.fits").write_bytes(b"a star")
    (files / "history.txt").write_text("7 1\n8 1\n")
    (files / "fields" / "sky.bin").write_bytes(b"stars")
    return files


def survey_in(folder):
    psf = PHAT.bands[1].psf.model_copy(update={"file": str(folder / "psf.fits")})
    band = {"filter": str(folder / "curve.txt"), "psf": psf}
    field = {"files": str(folder / "fields"), "history": str(folder / "history.txt")}
    bands = (PHAT.bands[1].model_copy(update=band),)
    return PHAT.with_values(observation={"bands": bands}, galaxy={"field": field})


def test_a_folder_may_move(folder, tmp_path):
    before, keys = survey_in(folder).fingerprint(), contents_of(survey_in(folder))
    there = shutil.move(folder, tmp_path / "there")
    assert survey_in(there).fingerprint() == before
    assert contents_of(survey_in(there)) == keys


@pytest.mark.parametrize("name", ["curve.txt", "psf.fits", "history.txt", "fields/sky.bin"])
def test_other_content_is_another_survey(folder, name):
    before, keys = survey_in(folder).fingerprint(), contents_of(survey_in(folder))
    with (folder / name).open("a") as file:
        file.write("5600.5 0.1\n")
    assert survey_in(folder).fingerprint() != before
    changed = {"curve.txt": "curves", "psf.fits": "psfs"}.get(name, "fields")
    now = contents_of(survey_in(folder))
    assert [group for group in keys if keys[group] != now[group]] == [changed]
    with pytest.raises(InputError, match=f"{name.split('/')[0]}.*holds something else"):
        check_contents(survey_in(folder), keys, model="m")


def test_files_that_are_gone_leave_no_path(folder):
    survey = survey_in(folder)
    before, keys = survey.fingerprint(), contents_of(survey)
    shutil.rmtree(folder)
    gone = survey.fingerprint()
    assert gone != before
    assert survey_in(folder.parent / "elsewhere").fingerprint() == gone
    with pytest.raises(InputError, match=r"psf.fits \(psfs of F475W, .*missing.*history.*folder"):
        check_contents(survey, keys, model="m")
    check_contents(survey, {}, model="m")  # a model that tells nothing


def test_what_the_package_brings_may_change(caplog):
    keys = contents_of(PHAT)
    check_contents(PHAT, keys, model="m")
    assert not caplog.messages
    check_contents(PHAT, {**keys, "spectra": {"embedded": "old"}}, model="m")
    assert caplog.messages == ["spectra of embedded are others than in the training of m"]


def test_curves_count_by_their_numbers():
    curve = load_passband("acs_wfc_f475w")
    assert contents_of(PHAT)["curves"]["F475W"] == curve.key
    assert len(set(contents_of(PHAT)["curves"].values())) == 3


@pytest.mark.parametrize("place", ["model", "beside", "here"])
def test_a_model_finds_its_files_where_its_folder_has_moved(folder, tmp_path, place, monkeypatch):
    """Copied to another machine, with its files beside it, in it, or where one works."""
    grid = IsochroneGrid.embedded()
    write_grid(folder / "stars.npz", grid)
    stars = {"stars": {"isochrones": str(folder / "stars.npz")}}
    survey = with_curves(survey_in(folder).with_values(clusters=stars))
    model = Estimator.untrained(survey, encoder="tiny").describe(hashes=contents_of(survey))
    model.save(tmp_path / "project" / "run")
    assert Estimator.load(tmp_path / "project" / "run").survey == survey
    there = tmp_path / "elsewhere" / "project"
    shutil.move(tmp_path / "project", there)
    new = {"model": there / "run", "beside": there / "here", "here": tmp_path / "work"}[place]
    shutil.copytree(folder, new, dirs_exist_ok=True)
    shutil.rmtree(folder)
    if place == "here":
        monkeypatch.chdir(new)
    found = Estimator.load(there / "run")
    assert found.survey.bands[0].psf.file == str(new / "psf.fits")
    assert found.survey.galaxy.field.files == str(new / "fields")
    assert found.survey.clusters.stars.models == (str(new / "stars.npz"),)
    check_contents(found.survey, found.card.hashes.model_dump(), model="m")
    assert found.survey.fingerprint() == survey_in(new).with_values(clusters=stars).fingerprint()
    (new / "psf.fits").write_bytes(b"another star")
    other = Estimator.load(there / "run")
    with pytest.raises(InputError, match=r"psf.fits \(psfs of F475W, SHA-256 .* missing.*put"):
        check_contents(other.survey, other.card.hashes.model_dump(), model="m")


def test_shipped_models_tell_what_they_were_trained_with():
    for name in model_names():
        card, known = Estimator.load(name).card, contents_of(load_survey(name))
        hashes = card.hashes.model_dump(exclude={"absent_because"})
        if name == "phat-nodust":  # its cool stars had a first version of the spectra
            assert hashes.pop("spectra") != known.pop("spectra")
        if name == "phat6":  # has seen stars that are not in the package
            assert all(hashes["isochrones"].pop(stars) for stars in ("parsec", "basti", "padova"))
        assert hashes == known
    assert Estimator.load("phat").version == "050f73b4168b"  # of the weights alone


def test_a_set_of_stars_that_is_missing_is_done_without():
    there = PHAT.with_values(clusters={"stars": {"isochrones": ("sse", "not-imported")}})
    with pytest.warns(PraesepeWarning, match="stars of sse alone: .* not-imported is not here"):
        assert without_missing_stars(there).clusters.stars.models == ("sse",)
    for all_or_none in ("sse", "not-imported"):
        survey = PHAT.with_values(clusters={"stars": {"isochrones": all_or_none}})
        assert without_missing_stars(survey) is survey
