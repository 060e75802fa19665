"""praesepe stars: import, list, show, as a user meets them."""

import pytest

PNG = b"\x89PNG"


@pytest.fixture
def env(tmp_path):
    return {"PRAESEPE_DATA": str(tmp_path / "data")}


@pytest.fixture
def file(tmp_path, parsec_text):
    path = tmp_path / "output123.dat"
    path.write_text(parsec_text)
    return path


def test_import_list_show(run_cli, tmp_path, env, file):
    done = run_cli("stars", "import", file, "--name", "parsec", env=env)
    assert "2 ages, log age 7 to 7.05" in done.stdout
    assert "Read PARSEC, 1 file: 2 log ages, 7 to 7.05; Z = 0.0142;" in done.stdout
    assert 'isochrones = "parsec"' in done.stdout
    listed = run_cli("stars", "list", env=env).stdout
    assert "embedded" in listed
    assert "PARSEC: output123.dat" in listed
    out = tmp_path / "figure.png"
    shown = run_cli("stars", "show", "parsec", "--out", out, env=env)
    assert out.read_bytes().startswith(PNG)
    assert "Z = 0.0142" in shown.stdout
    again = run_cli("stars", "show", "parsec", "--out", out, env=env, check=False)
    assert again.returncode == 2
    assert "--overwrite" in again.stderr


def test_show_the_embedded_model_in_one_band(run_cli, tmp_path, env):
    out = tmp_path / "sse.pdf"
    run_cli("stars", "show", "sse", "--band", "acs_wfc_f814w", "--out", out, env=env)
    assert out.read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["stars", "import", "{file}", "--name", "sse"], "the name of the embedded model"),
        (["stars", "import", "absent.dat", "--name", "x"], "cannot read absent.dat"),
        (["stars", "import", "{junk}", "--name", "x"], "not an isochrone file"),
        (["stars", "import", "{cut}", "--name", "x"], "truncated in its isochrone of log age 7.05"),
        (["stars", "show", "parsek"], "unknown stellar model 'parsek'"),
        (["stars", "show", "sse", "--band", "f999w"], "unknown filter 'f999w'"),
        (["stars", "show", "sse", "--metallicity", "0.5"], "outside the stellar model"),
        (["stars", "show", "sse", "--out", "figure.txt"], "not one of .png or .pdf"),
    ],
)
def test_mistakes(run_cli, tmp_path, env, file, parsec_text, words, message):
    junk = tmp_path / "junk.dat"
    junk.write_text("name,ra,dec\na,1,2\n")
    cut = tmp_path / "cut.dat"
    cut.write_text("\n".join([*parsec_text.splitlines()[:-100], "#isochrone terminated"]))
    words = [word.format(file=file, junk=junk, cut=cut) for word in words]
    failed = run_cli(*words, env=env, cwd=tmp_path, check=False)
    assert failed.returncode == 2
    assert message in " ".join(failed.stderr.split())
    assert "Traceback" not in failed.output


def test_a_damaged_model_does_not_hide_the_others(run_cli, tmp_path, env, file):
    run_cli("stars", "import", file, "--name", "good", env=env)
    (tmp_path / "data" / "stars" / "bad.npz").write_bytes(b"junk")
    listed = run_cli("stars", "list", env=env).stdout
    assert "good" in listed
    assert "bad.npz is not a grid of isochrones" in " ".join(listed.split())
