"""Lay clusters drawn from a posterior beside the real one: does the model believe what it sees?

New here:
- `Result.simulate`: twins, which are clusters of the posterior under the same observation
- `Twins.statistics`, `to_table`: whether the real cluster could be one more of its twins
- `Twins.plot`, `save`: a figure in one stretch, and a FITS file for DS9
"""

import praesepe

simulated = praesepe.simulate_mosaic("phat", n=12, size=512, density=20, seed=11)
result = praesepe.predict("phat", simulated.images, simulated.truth["id", "ra", "dec"])

twins = result.simulate(20, rows=range(6), seed=1)
table = twins.to_table()
print(table["id", "p_twins", "p_flux_F336W", "p_flux_F475W", "p_flux_F814W"])
twins.save("twins.fits", overwrite=True)
twins.plot().savefig("twins.png", dpi=90)
