"""Faults of data.py: the IDX format, MNIST and mini-batches."""

FAULTS = {
    "read_idx": {
        "byte-order": ('f">{axes}I"', 'f"<{axes}I"'),
        "other-types": ("content[:3] != b'\\x00\\x00\\x08'", "content[:2] != b'\\x00\\x00'"),
        "empty-file": ("len(content) < 4", "False"),
        "ends-in-the-header": ("len(content) < header", "False"),
        "too-long": (
            "len(content) - header != math.prod(shape)",
            "len(content) - header < math.prod(shape)",
        ),
        "too-short": (
            "len(content) - header != math.prod(shape)",
            "len(content) - header > math.prod(shape)",
        ),
        "signed-bytes": ("np.uint8", "np.int8"),
        "flat": (
            "np.frombuffer(content, np.uint8, offset=header).reshape(shape)",
            "np.frombuffer(content, np.uint8, offset=header)",
        ),
        "offset-of-one-axis": ("offset=header", "offset=len(content) - math.prod(shape) - 1"),
    },
    "unzipped": {
        "never-unzipped": ("content[:2] != b'\\x1f\\x8b'", "True"),
        "damage-not-named": ("(EOFError, OSError, zlib.error)", "()"),
        "end-not-named": ("(EOFError, OSError, zlib.error)", "(OSError, zlib.error)"),
        "bad-block-not-named": ("(EOFError, OSError, zlib.error)", "(EOFError, OSError)"),
        "bad-sum-not-named": ("(EOFError, OSError, zlib.error)", "(EOFError, zlib.error)"),
    },
    "find_file": {
        "gzipped-only": ("root / name", "root / f'{name}.gz'"),
        "never-gzipped": ("(root / name, root / f'{name}.gz')", "(root / name,)"),
        "gzipped-first": (
            "(root / name, root / f'{name}.gz')",
            "(root / f'{name}.gz', root / name)",
        ),
        "folder-as-file": ("path.is_file()", "path.exists()"),
    },
    "MNIST.__init__": {
        "given-folder-ignored": ("SHIPPED if root is None else Path(root)", "SHIPPED"),
        "test-set": ("'train' if train else 't10k'", "'t10k' if train else 'train'"),
        "images-of-any-rank": ("images.ndim != 3", "False"),
        "labels-of-any-number": ("labels.shape != images.shape[:1]", "False"),
        "labels-of-any-rank": ("labels.shape != images.shape[:1]", "len(labels) != len(images)"),
        "nine": ("labels.max() > 9", "labels.max() >= 9"),
        "ten": ("labels.max() > 9", "labels.max() > 10"),
        "no-labels": ("labels.size", "True"),
        "part-of-labels": ("labels[part]", "labels"),
        "part-of-images": ("images[part]", "images"),
        "labels-dtype": ("labels[part].astype(int64)", "labels[part]"),
    },
    "MNIST.__getitem__": {
        "mean-sign": ("pixels -= self.mean / self.std", "pixels += self.mean / self.std"),
        "256": ("255", "256"),
        "channel-axis": ("np.expand_dims(pixels, -3)", "np.expand_dims(pixels, 0)"),
        "pixels-dtype": ("float32", "float", 0),
        "label-shares-memory": ("np.array(self.labels[index])", "self.labels[index]"),
        "no-channel-axis": ("np.expand_dims(pixels, -3)", "pixels"),
    },
    "MNIST.__repr__": {
        "height-and-width": (
            "height, width = self.images.shape[1:]",
            "width, height = self.images.shape[1:]",
        )
    },
    "DataLoader.__init__": {
        "batch-size-not-checked": ("checks.positive_integers(batch_size=batch_size)", "pass"),
    },
    "DataLoader.__len__": {
        "last-batch": ("self.drop_last", "not self.drop_last"),
        "one-batch-more": ("math.ceil", "lambda batches: math.floor(batches) + 1"),
    },
    "DataLoader.__iter__": {
        "short-batches": ("start + self.batch_size", "start + self.batch_size - 1"),
        "order": ("self.shuffle", "not self.shuffle"),
        "other-generator": ("generator.permutation(n)", "np.random.default_rng().permutation(n)"),
        "same-order-each-time": (
            "generator.permutation(n)",
            "np.random.default_rng(0).permutation(n)",
        ),
        "sampled-with-replacement": ("generator.permutation(n)", "generator.integers(n, size=n)"),
    },
}
