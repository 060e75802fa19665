"""What the telescope, the galaxy, its clusters and the network are: one TOML file.

It is checked when it is read, and frozen. `praesepe.survey.schema` joins the four parts.
"""

from praesepe.lazy import names_of_stub

__getattr__, __dir__ = names_of_stub(__name__, __file__)
