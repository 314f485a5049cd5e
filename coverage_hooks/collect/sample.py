"""What `parsed` has coverage.py report, to see whether it does that as is known. It is never imported."""


def sample(items: list[int]) -> list[int]:
    while items:
        if items[0] > 1:
            items.append(
                items[-1],
            )
    return items  # pragma: no branch
