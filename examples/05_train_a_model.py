"""Train a network for a galaxy of your own, and use it.

New here:
- another galaxy, as a survey file would describe it (`praesepe survey init` writes one)
- `train`: endless fresh simulations; here for a few steps, where an hour or more is needed
- a folder with a model is loaded as a built-in one is
"""

from praesepe import Estimator, Simulator, load_survey, train

survey = load_survey("phat").with_values(
    name="m33", galaxy={"distance_pc": 8.4e5}, clusters={"log_mass": (2.5, 4.5)}
)
training = train(survey, out="runs/m33", steps=4, batch_size=16, valid_size=32, seed=1)
print(training)
model = Estimator.load("runs/m33")
print(model)

posterior = model.predict(Simulator(model.survey, seed=2).draw(4).images)
print("medians after four steps, which mean nothing yet:", posterior.percentile(50), sep="\n")
