"""The network: a stamp in, a posterior out."""
