"""``python -m mitds`` is the command line."""

from mitds.cli import main

if __name__ == "__main__":
    main()
