"""`python -m zoomagent.cli`: the same as `zoomagent`."""

from zoomagent.cli.main import main

if __name__ == "__main__":
    main()
