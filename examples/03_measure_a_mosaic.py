"""Measure a catalogue on FITS mosaics: the way for real images.

New here:
- `simulate_mosaic`: FITS images with a WCS, and the table of the clusters on them; with images of
  your own leave it out
- `predict`: mosaics and catalogue in, table out, row by row in the catalogue's order
- `Flag`: what to know about a row before it is used
"""

from astropy.table import Table

import praesepe

simulated = praesepe.simulate_mosaic("phat", n=8, size=512, seed=3, out="sky", overwrite=True)
images = {"F336W": "f336w", "F475W": "f475w", "F814W": "f814w"}
images = {band: f"sky/phat_{name}.fits" for band, name in images.items()}
truth = Table.read("sky/truth.ecsv")
truth["ra", "dec"].write("clusters.csv", overwrite=True)

result = praesepe.predict("phat", images, "clusters.csv", out="measured.ecsv", overwrite=True)
print(result)
for row, true in zip(result.table, truth, strict=True):
    print(
        f"log age {row['log_age_p50']:.2f} (+{row['log_age_p84'] - row['log_age_p50']:.2f} "
        f"-{row['log_age_p50'] - row['log_age_p16']:.2f}), true {true['log_age']:.2f}; "
        f"flags: {praesepe.Flag(int(row['flags'])).name or 'none'}"
    )
