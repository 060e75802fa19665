"""The sky: stars placed, blurred and exposed; simulated stamps and mosaics."""
