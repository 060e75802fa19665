"""From light to a mosaic: point spread function, rendering, detector, noise, artefacts."""
