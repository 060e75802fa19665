"""Pages and figures made of plots and tables."""
