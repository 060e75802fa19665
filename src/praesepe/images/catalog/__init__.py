"""Tables of any format: where their rows lie, read and written as they were."""

from praesepe.lazy import lazy_names

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "catalogs": "Catalog",
        "coordinates": "sky_positions",
        "column_names": "id_column position_columns",
        "projection": "pixel_positions",
        "region_files": "write_regions",
        "tables": "read_table write_table",
    },
)
