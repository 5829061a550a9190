"""`python -m jaxrnn` is `jaxrnn`."""

from jaxrnn.cli import main

if __name__ == "__main__":
    main()
