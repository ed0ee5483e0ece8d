"""Models that several test files use, each in the namespace of either library."""


def define_nested(nn):
    """One and the same nested model in the namespace of either library."""

    class Block(nn.Module):
        def __init__(self, channels):
            super().__init__()
            self.body = nn.Sequential(
                nn.Conv2d(channels, channels, 3, padding=1, bias=False),
                nn.BatchNorm2d(channels),
                nn.ReLU(),
            )
            self.plain = nn.BatchNorm2d(channels, affine=False)
            self.skip = nn.Identity()

        def forward(self, x):
            return self.plain(self.body(x)) + self.skip(x)

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.Conv2d(1, 4, (3, 2), stride=(2, 1))
            self.blocks = nn.Sequential(Block(4), nn.MaxPool2d(2), Block(4))
            self.head = nn.Sequential(nn.Flatten(), nn.Linear(4 * 3 * 3, 6), nn.BatchNorm1d(6))
            self.out = nn.Linear(6, 3, bias=False)

        def forward(self, x):
            return self.out(self.head(self.blocks(self.stem(x))))

    return Model()
