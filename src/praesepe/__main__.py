"""Run the command line as ``python -m praesepe``."""

from praesepe.cli.app import main

if __name__ == "__main__":
    main()
