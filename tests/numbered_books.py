"""A venue's book by the numbers of its updates, against which the books of readers are held."""

from __future__ import annotations

from random import Random

from feedbus.schema.events import BookDelta, BookSnapshot

Side = dict[float, float]
BID, ASK = 500, 501


class Venue:
    """What the venue's book was after each of its updates."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self.sides: tuple[Side, Side] = ({}, {})
        self.number = 100
        self.history: dict[int, tuple[Side, Side]] = {}
        for _ in range(6):
            self.change()

    def change(self) -> BookDelta:
        """Some updates, and what they change."""
        random = self._random
        first, self.number = self.number + 1, self.number + random.randint(1, 3)
        said: tuple[Side, Side] = ({}, {})
        for _ in range(random.randint(0, 5)):
            is_bid, depth = random.random() < 0.5, random.randint(0, 9)
            said[not is_bid][float(BID - depth if is_bid else ASK + depth)] = random.choice([0.0, 1.0, 2.0])
        for side, changed in zip(self.sides, said, strict=True):
            side.update(changed)
            for price in [price for price, size in side.items() if not size]:
                del side[price]
        self.history[self.number] = (dict(self.sides[0]), dict(self.sides[1]))
        return BookDelta("v", "S", 0, 0, list(said[0].items()), list(said[1].items()), first, self.number)

    def picture(self, levels: int) -> BookSnapshot:
        """The best levels of what it has now."""
        bids, asks = sorted(self.sides[0].items(), reverse=True), sorted(self.sides[1].items())
        return BookSnapshot(
            "v", "S", 0, 0, bids[:levels], asks[:levels], self.number, len(bids) <= levels, len(asks) <= levels
        )
