"""`python -m netwright`."""

from netwright.cli.app import main

if __name__ == "__main__":
    main()
