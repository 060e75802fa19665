"""Draw clusters star by star, as a telescope sees them, and look at them.

New here:
- `Simulator`: a survey's stars, star field, telescope and noise, joined; the same seed gives the
  same images
- `Simulator.observe`: clusters with given parameters; what is not given comes from the prior
- `Mocks`: images in e-/s, labels, and the truth of what was drawn
"""

from praesepe import Simulator
from praesepe.plots import color_scale, new_figure, plot_stamp

simulator = Simulator("phat", seed=1)
ages = [6.8, 7.5, 8.2, 9.0]
mocks = simulator.observe({"log_age": ages, "log_mass": 4.0, "log_rh": -0.5})
print("images (cluster, band, y, x):", tuple(mocks.images.shape))
print("stars in each cluster:", mocks.truth["n_stars"].tolist())

figure, scale = new_figure(8, 2), color_scale(simulator.survey.bands)
for ax, stamp, log_age in zip(figure.subplots(1, 4), mocks.images.numpy(), ages, strict=True):
    plot_stamp(ax, stamp, scale)
    ax.set_title(f"log age {log_age}")
figure.savefig("clusters_by_age.png")
