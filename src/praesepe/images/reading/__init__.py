"""From a file, an array or an address to pixels: which image it is, its WCS, its gaps."""
