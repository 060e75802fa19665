"""Scatter of the recovered size against the slope of the profile and the crowding of the field.

praesepe evaluate phat --n 4000 --seed 33 --out evaluation
python benchmarks/size_by_profile.py evaluation/clusters.ecsv
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from astropy.table import Table

from praesepe.statistics import robust_scatter


def main() -> None:
    """Print the scatter of log r_h at ages up to 3 Gyr and 250 to 4000 Msun."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clusters", type=Path)
    table = Table.read(parser.parse_args().clusters)
    mass = 10 ** np.asarray(table["log_mass_true"])
    used = (table["log_age_true"] <= np.log10(3e9)) & (mass >= 250) & (mass <= 4000)
    residual = np.asarray(table["log_rh_p50"] - table["log_rh_true"])
    flat, empty = table["gamma"] < 2.6, table["field_density"] < 30
    for label, which in {
        "all": used,
        "gamma < 2.6": used & flat,
        "gamma >= 2.6": used & ~flat,
        "field < 30 Msun/pc2": used & empty,
        "field >= 30 Msun/pc2": used & ~empty,
    }.items():
        print(
            f"{label:22s} n = {which.sum():5d}   scatter {robust_scatter(residual[which]):.3f} dex"
        )


if __name__ == "__main__":
    main()
