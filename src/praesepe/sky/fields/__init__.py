"""Star fields that clusters lie on: simulated, or cut from real mosaics."""
