"""Measure clusters on stamps, and compare with the truth.

New here:
- `Estimator.load`: a trained network, with the survey that it was trained for
- `Estimator.predict`: stamps in e-/s in, joint posterior out
- `Posterior`: draws, means, percentiles
"""

import numpy as np

from praesepe import Estimator, Simulator

estimator = Estimator.load("phat")
mocks = Simulator(estimator.survey, seed=7).draw(32)
posterior = estimator.predict(mocks.images, seed=1)
print(f"draws (cluster, draw, quantity {estimator.infers}):", posterior.samples.shape)

low, median, high = posterior.percentile([16, 50, 84])  # (3, cluster, quantity)
truth = mocks.labels.numpy()
inside = np.mean((low <= truth) & (truth <= high), axis=0)
scatter = np.sqrt(np.mean((median - truth) ** 2, axis=0))
for name, s, share in zip(estimator.infers, scatter, inside, strict=True):
    print(f"{name}: rms error {s:.2f} dex; {share:.0%} of the truths within the 68 % interval")
