"""From mosaics and a catalogue to measured clusters."""
