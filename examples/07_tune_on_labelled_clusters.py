"""Fine-tune a model on clusters whose age, mass and size are known, and see what it changed.

New here:
- `Labelled`: stamps and what is known of them; `read_labelled` cuts them out of mosaics
- `train(initial=…, labelled=…)`: half of every batch are labelled clusters, half simulations
- bias, scatter and coverage before and after, on clusters held out and on simulations
"""

import numpy as np

from praesepe import Estimator, Labelled, Simulator, train

model = Estimator.load("phat")
rng = np.random.default_rng(5)
mocks = Simulator(model.survey, seed=5).observe(
    {"log_age": rng.uniform(7, 9.5, 40), "log_mass": 3.5, "log_rh": rng.uniform(-0.9, -0.3, 40)}
)
# In the place of real clusters: these, with zero points that the model does not expect.
offset_mag = np.array([0.15, 0.0, -0.1])[:, None, None]
labelled = Labelled(mocks.images.numpy() * 10 ** (-0.4 * offset_mag), mocks.labels.numpy())

# Two hundred clusters and steps are a good number; ten show how it is done.
tuned = train(
    model.survey, initial=model, labelled=labelled, steps=10, batch_size=32, valid_size=64, seed=6
)
tuning = tuned.estimator.card.runs[-1].tuning
print(f"of {tuning['labelled']} clusters {tuning['held_out']} were held out")
print(f"the weights of step {tuning['kept_step']} are kept")
for when in ("before", "after"):
    for where, found in tuning[when].items():
        print(when, where, {name: values["coverage68"] for name, values in found.items()})
