"""Ages, masses and sizes of star clusters from the pixels of multi-band images.

The public names, listed in ``__init__.pyi``, are loaded when first used, so that
``import praesepe`` costs nothing and a GPU node needs only what it runs.

Examples
--------
>>> import praesepe
>>> survey = praesepe.load_survey("phat")
>>> survey.band_names
('F336W', 'F475W', 'F814W')
"""

from praesepe.lazy import names_of_stub

__getattr__, __dir__ = names_of_stub(__name__, __file__)
__all__ = __dir__()
