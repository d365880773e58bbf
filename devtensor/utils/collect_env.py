"""The report of the environment, by PyTorch's name (``python -m torch.utils.collect_env``)."""

from __future__ import annotations

__all__ = ["get_pretty_env_info", "main"]


def get_pretty_env_info() -> str:
    """What ``python -m devtensor`` prints."""
    from devtensor.commands.environment import report  # which imports the whole package

    return report()


def main() -> None:
    """Print it."""
    print(get_pretty_env_info())


if __name__ == "__main__":
    main()
