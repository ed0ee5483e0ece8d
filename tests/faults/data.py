"""Faults of data.py: MNIST and mini-batches."""

FAULTS = {
    "pixel_statistics": {
        "some-images-only": ("np.array_split(images, 100)", "np.array_split(images, 100)[1:]"),
        "pixels-of-256": ("images.mean() / 255", "images.mean() / 256"),
        "square-of-the-deviation": ("math.sqrt", "float"),
        "no-deviation": (
            "math.sqrt(squares / images.size) or 1.0",
            "math.sqrt(squares / images.size)",
        ),
        "not-from-the-mean": ("part / 255 - mean", "part / 255"),
    },
    "TensorDataset.__init__": {
        "any-tensors": ("checks.equal_lengths(tensors, Tensor)", "pass"),
    },
    "collated": {
        "named-tuples-lose-their-names": ("hasattr(first, '_fields')", "False"),
        "parts-of-any-number": ("checks.equal_samples(samples)", "pass"),
        "lists-stay": ("tuple | list", "tuple"),
        "texts-are-arrays": ("isinstance(first, str)", "False"),
        "floats-in-32-bits": ("Tensor(samples, dtype=float64)", "Tensor(samples)"),
        "anything-collated": ("checks.can_be_collated(first)", "pass"),
        "numpys-floats-widened": (
            "type(first) is float",
            "isinstance(first, float | np.floating)",
        ),
    },
    "DataLoader.batch": {
        "getitems-ignored": ("not hasattr(self.dataset, '__getitems__')", "True"),
        "samples-not-put-together": (
            "collated(found) if isinstance(found, list) else found",
            "found",
        ),
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
        "statistics-of-mnist": ("root is not None", "False"),
        "statistics-of-the-test-images": (
            "images if train else read_idx(find_file(folder, 'train-images-idx3-ubyte'))",
            "images",
        ),
        "statistics-of-no-images": ("seen.size", "True"),
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
        "transform-of-a-batch": ("self.transform is not None and labels.ndim > 0", "False"),
        "transform-ignored": ("self.transform(images) if self.transform else images", "images"),
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
        "any-dataset": ("checks.dataset(dataset)", "pass"),
        "sampler-and-shuffle": ("sampler is not None and shuffle", "False"),
        "batch-size-not-checked": ("checks.positive_integers(batch_size=batch_size)", "pass"),
        "nothing-to-drop": ("drop_last", "False", 1),
    },
    "DataLoader.__len__": {
        "last-batch": ("self.drop_last", "not self.drop_last"),
        "length-without-sampler": (
            "self.dataset if self.sampler is None else self.sampler",
            "self.dataset",
        ),
        "one-batch-more": ("math.ceil", "lambda batches: math.floor(batches) + 1"),
    },
    "DataLoader.__iter__": {
        "short-batches": (
            "len(chosen) == self.batch_size or not self.drop_last",
            "len(chosen) == self.batch_size",
        ),
        "drop-last-ignored": ("len(chosen) == self.batch_size or not self.drop_last", "True"),
        "sampler-ignored": ("order is None", "True"),
        "lists-are-batched": ("self.batch_size is None", "False"),
        "lists-twice": ("return", "pass"),
        "order": ("self.shuffle", "not self.shuffle"),
        "other-generator": ("generator.permutation(n)", "np.random.default_rng().permutation(n)"),
        "same-order-each-time": (
            "generator.permutation(n)",
            "np.random.default_rng(0).permutation(n)",
        ),
        "sampled-with-replacement": ("generator.permutation(n)", "generator.integers(n, size=n)"),
    },
}
