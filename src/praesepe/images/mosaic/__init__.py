"""Images of several bands on one pixel grid, and the stamps that are cut from them."""
