"""The golden record of tools/golden.py: nothing was lost when the house was rebuilt."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
RECORD = json.loads((ROOT / "tests/golden/record.json").read_text())


@pytest.fixture(scope="module")
def golden() -> ModuleType:
    spec = importlib.util.spec_from_file_location("golden", ROOT / "tools/golden.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    with np.load(ROOT / "tests/golden/record.npz") as file:
        return dict(file)


@pytest.mark.parametrize("seed", [11, 12, 13])
def test_a_seed_gives_the_stamps_and_truth_of_the_record(golden, arrays, seed):
    stamps, truth = golden.draw(seed)
    np.testing.assert_allclose(stamps, arrays[f"stamps_{seed}"], rtol=1e-5, atol=1e-6)
    prefix = f"truth_{seed}_"
    names = [name.removeprefix(prefix) for name in arrays if name.startswith(prefix)]
    for name in names:
        np.testing.assert_allclose(truth[name], arrays[prefix + name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("seed", [11, 12, 13])
def test_the_model_answers_as_in_the_record(golden, arrays, seed):
    answer = golden.answer(arrays[f"stamps_{seed}"])
    recorded = arrays[f"answer_{seed}_percentiles"]
    np.testing.assert_allclose(answer["percentiles"], recorded, atol=1e-4)
    np.testing.assert_allclose(answer["surprise"], arrays[f"answer_{seed}_surprise"], rtol=1e-3)


def test_a_mosaic_and_its_table_are_those_of_the_record(golden, arrays, tmp_path):
    now = golden.mosaic(tmp_path)
    for band, plane in now["planes"].items():
        np.testing.assert_allclose(plane[::8, ::8], arrays[f"mosaic_{band}"], rtol=1e-4, atol=1e-5)
    assert set(RECORD["columns"]) <= set(now["columns"])
    assert set(RECORD["truth_columns"]) <= set(now["truth_columns"])
    for name in RECORD["columns"]:
        if f"table_{name}" in arrays:
            np.testing.assert_allclose(
                now["table"][name], arrays[f"table_{name}"], rtol=1e-4, atol=2e-4, err_msg=name
            )
