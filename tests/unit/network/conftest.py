"""A small survey of two bands and 16 px stamps."""

from __future__ import annotations

from typing import Any

import pytest

from praesepe.survey import Survey, parse_survey


def band(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "name": name,
        "filter": f"acs_wfc_{name.lower()}",
        "zero_point_ab": 26.0,
        "exposure_s": 1500.0,
        "sky_e_s": [0.05, 0.1],
        **changes,
    }


@pytest.fixture(scope="session")
def survey() -> Survey:
    return parse_survey(
        {
            "name": "toy",
            "observation": {
                "pixel_scale_arcsec": 0.1,
                "bands": [band("F475W", asinh_scale=0.03), band("F814W", asinh_scale=0.3)],
            },
            "galaxy": {"distance_pc": 785000.0},
            "network": {"stamp_size": 16},
            "clusters": {"log_mass": [2.0, 3.5], "rh_arcsec": [0.1, 0.4]},
        }
    )
