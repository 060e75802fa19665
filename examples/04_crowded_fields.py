"""How the errors depend on the star field: the same clusters on two densities of stars.

New here:
- a survey that differs from a built-in one: `Survey.with_values`
- the same clusters on another sky, to see what a model does there; the last density is beyond the
  range that `phat` was trained on
"""

import numpy as np

from praesepe import Estimator, Simulator

estimator = Estimator.load("phat")
print("densities trained on:", estimator.survey.galaxy.field.surface_density, "Msun/pc2")
for density in (20.0, 500.0):
    survey = estimator.survey.with_values(galaxy={"field": {"surface_density": (density,) * 2}})
    mocks = Simulator(survey, seed=11).observe(
        {"log_age": np.full(24, 8.0), "log_mass": 3.3, "log_rh": -0.5}
    )
    error = estimator.predict(mocks.images, seed=1).percentile(50) - mocks.labels.numpy()
    scatters = zip(estimator.infers, np.std(error, axis=0), strict=True)
    print(f"{density:5.0f} Msun/pc2:", ", ".join(f"{name} {dex:.2f} dex" for name, dex in scatters))
